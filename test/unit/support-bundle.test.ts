import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  type BundleOptions,
  type BundlePart,
  type BundleReport,
  packBundle,
} from '../../src/capabilities/doctor/bundle.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { knownForms } from '../../src/lib/redact.ts';

const secret = 'correct-horse-battery';
const part = (path: string, text: BundlePart['text'], over: Partial<BundlePart> = {}): BundlePart => ({
  path,
  most: 100_000,
  patience: 2_000,
  text,
  ...over,
});

async function pack(
  parts: readonly BundlePart[],
  over: Partial<BundleOptions> = {},
): Promise<{ files: Map<string, string>; report: BundleReport }> {
  const packing = packBundle(parts, {
    forms: knownForms([{ name: 'PASSWORD', value: secret }]),
    clock: systemClock,
    time: '2026-01-01T00:00:00Z',
    notes: [],
    signal: new AbortController().signal,
    ...over,
  });
  const chunks: Buffer[] = [];
  for (;;) {
    const { done, value } = await packing.next();
    if (done) return { files: filesOf(gunzipSync(Buffer.concat(chunks))), report: value };
    chunks.push(value);
  }
}

function filesOf(tar: Buffer): Map<string, string> {
  const files = new Map<string, string>();
  for (let at = 0; tar[at] !== 0; ) {
    const path = tar.toString('utf8', at, at + 100).replace(/\0.*$/s, '');
    const size = Number.parseInt(tar.toString('utf8', at + 124, at + 135), 8);
    files.set(path, tar.toString('utf8', at + 512, at + 512 + size));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return files;
}

async function* pieces(...all: string[]): AsyncGenerator<string> {
  yield* all;
}

describe('a bundle', () => {
  it('holds what each part says, without secrets that are split over pieces, and what was taken out', async () => {
    const { files, report } = await pack([
      part('one.log', () => pieces('a correct-ho', 'rse-bat', 'tery b\n')),
      part('two.json', async () => '{"ok":true}\n'),
    ]);
    expect(files.get('appliance-support/one.log')).toBe('a [redacted: PASSWORD] b\n');
    expect(files.get('appliance-support/two.json')).toBe('{"ok":true}\n');
    expect(JSON.parse(files.get('appliance-support/report.json') ?? '')).toEqual(report);
    expect(report.redacted).toEqual({ 'known: PASSWORD': 1 });
    expect(report.files.map(({ path, missing }) => [path, missing])).toEqual([
      ['one.log', null],
      ['two.json', null],
    ]);
  });
  it('goes on without parts that fail or hang, and says why without their secrets', async () => {
    const { files, report } = await pack([
      part('broken', async () => {
        throw new Error(`cannot log in with ${secret}`);
      }),
      part('hanging', () => new Promise(() => undefined), { patience: 50 }),
      part(
        'slow',
        async function* () {
          yield 'first\n';
          await new Promise(() => undefined);
        },
        { patience: 50 },
      ),
      part('well', async () => 'here\n'),
    ]);
    const missing = Object.fromEntries(report.files.map((file) => [file.path, file.missing]));
    expect(missing).toEqual({
      broken: 'cannot log in with [redacted: PASSWORD]',
      hanging: 'no end within 50 ms',
      slow: 'no end within 50 ms',
      well: null,
    });
    expect([...files.keys()]).toEqual([
      'appliance-support/slow',
      'appliance-support/well',
      'appliance-support/report.json',
    ]);
    expect(files.get('appliance-support/slow')).toBe('first\n');
  });
  it('is bounded: each part, and all of them together', async () => {
    async function* endless() {
      for (;;) yield `${'line '.repeat(100)}\n`;
    }
    const { files, report } = await pack(
      [
        part('endless', endless, { most: 5_000 }),
        part('large', async () => 'x\n'.repeat(4_000)),
        part('left', async () => 'y\n'.repeat(3_000)),
      ],
      { most: 14_000 },
    );
    expect(files.get('appliance-support/endless')).toHaveLength(5_000);
    expect(report.files.map(({ missing }) => missing)).toEqual([
      'cut after 5000 bytes',
      null,
      'the bundle is as large as it may be',
    ]);
  });
  it('ends when nobody wants it any more', async () => {
    const stop = new AbortController();
    const packing = pack([part('hanging', () => new Promise(() => undefined), { patience: 60_000 })], {
      signal: stop.signal,
    });
    stop.abort(new Error('enough'));
    await expect(packing).rejects.toThrow();
  });
});
