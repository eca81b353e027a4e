import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ManifestCache } from '../../src/capabilities/models/cache/manifest-cache.ts';
import { readPointer, switchPointer, tidyPointers } from '../../src/capabilities/models/pointer.ts';
import { createModelSteps, type ModelStepDeps } from '../../src/capabilities/models/steps.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { StepContext } from '../../src/operations/step.ts';

let models: string;
beforeEach(() => {
  models = mkdtempSync(join(tmpdir(), 'pointer-'));
  for (const version of ['1', '2']) {
    mkdirSync(join(models, 'versions/m', version), { recursive: true });
    writeFileSync(
      join(models, 'versions/m', version, 'manifest.json'),
      `{"name":"m","version":"${version}","files":{}}`,
    );
    utimesSync(join(models, 'versions/m', version, 'manifest.json'), 1_000_000_000, 1_000_000_000);
  }
});
afterEach(() => rmSync(models, { recursive: true }));

it('names a version relatively, so that it also holds inside of a container (S0-15)', async () => {
  expect(await readPointer(models)).toBeNull();
  await switchPointer(models, { name: 'm', version: '1' }, new Date());
  expect(readlinkSync(join(models, 'current'))).toBe('versions/m/1');
  await switchPointer(models, { name: 'm', version: '2' }, new Date());
  expect(await readPointer(models)).toEqual({ name: 'm', version: '2' });
  expect(readdirSync(models).sort()).toEqual(['current', 'versions']);
});

it('gives every activation a newer time, the way back included (S1-77)', async () => {
  const now = new Date('2026-11-21T12:00:00Z');
  await switchPointer(models, { name: 'm', version: '1' }, now);
  expect(statSync(join(models, 'current/manifest.json')).mtime).toEqual(now);
});

it('takes the pointer away where there was none before', async () => {
  await switchPointer(models, { name: 'm', version: '1' }, new Date());
  await switchPointer(models, null, new Date());
  await switchPointer(models, null, new Date());
  expect(await readPointer(models)).toBeNull();
});

it('refuses a version that is not there, a label that leads out, and a directory in its place', async () => {
  await switchPointer(models, { name: 'm', version: '1' }, new Date());
  const refused = expect.objectContaining({ code: 'model_invalid' });
  await expect(switchPointer(models, { name: 'm', version: '3' }, new Date())).rejects.toEqual(refused);
  await expect(switchPointer(models, { name: '..', version: '1' }, new Date())).rejects.toEqual(refused);
  expect(await readPointer(models)).toEqual({ name: 'm', version: '1' });
  rmSync(join(models, 'current'));
  mkdirSync(join(models, 'current'));
  await expect(switchPointer(models, { name: 'm', version: '1' }, new Date())).rejects.toEqual(refused);
  expect(readdirSync(models).sort()).toEqual(['current', 'versions']);
});

it('removes what a switch left that was cut short, and nothing else', async () => {
  symlinkSync('versions/m/1', join(models, '.current.0123456789ab'));
  symlinkSync('versions/m/1', join(models, '.current.mine'));
  await tidyPointers(models);
  expect(readdirSync(models).sort()).toEqual(['.current.mine', 'versions']);
});

it('is watched also where it is a directory of its own', async () => {
  mkdirSync(join(models, 'current'));
  const path = join(models, 'current/manifest.json');
  const seen: string[] = [];
  const problems: (string | null)[] = [];
  const cache = new ManifestCache({
    directory: models,
    // Three seconds later nothing is young any more, so that a glance must be enough.
    clock: { ...systemClock, now: () => Date.now() + 3_000 },
    onChange: ({ now }) => void seen.push(now.manifest.version),
    onProblem: (why) => void problems.push(why),
    patience: 0,
  });
  const look = async (): Promise<void> => {
    for (let times = 0; times < 4; times += 1) await cache.look(new AbortController().signal);
  };
  for (const version of ['1', '2']) {
    writeFileSync(path, `{"name":"m","version":"${version}","files":{}}`);
    utimesSync(path, Number(version), Number(version));
    await look();
  }
  expect({ seen, problems }).toEqual({ seen: ['1', '2'], problems: [] });
});

it('is not written to take back a switch that never came about, as on a read-only file system', async () => {
  const side = (version: string) => ({ id: Number(version), name: 'm', version, sha256: '0'.repeat(64) });
  await switchPointer(models, side('1'), new Date());
  // Nothing can be written to it any more.
  rmSync(join(models, 'versions/m/1/manifest.json'));
  const { switchModel } = createModelSteps({ directory: models, clock: systemClock } as ModelStepDeps);
  const undo = switchModel.bind({ to: side('2'), from: side('1') }).undo?.({} as StepContext);
  expect(undo).toBeInstanceOf(Promise);
  await undo;
  expect(await readPointer(models)).toEqual({ name: 'm', version: '1' });
});
