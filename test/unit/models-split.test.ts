import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compareVariants, tallyOf } from '../../src/capabilities/models/comparison.ts';
import type { Loaded } from '../../src/capabilities/models/processes.ts';
import { readSplit, type Split, writeSplit } from '../../src/capabilities/models/split.ts';
import { createSplitSteps } from '../../src/capabilities/models/split-steps.ts';
import { parseShare } from '../../src/lib/units.ts';

const split: Split = { name: 'm', version: '2', sha256: 'b'.repeat(64), weight: 0.1 };
let directory: string;
const file = () => join(directory, 'candidate.json');

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'split-'));
  mkdirSync(join(directory, 'versions/m/1'), { recursive: true });
  symlinkSync('versions/m/1', join(directory, 'current'));
});
afterEach(() => rmSync(directory, { recursive: true }));

describe('the file of a split (S3-25)', () => {
  it('is written, replaced and removed', async () => {
    expect(await readSplit(directory)).toBeNull();
    await writeSplit(directory, split);
    expect(await readSplit(directory)).toEqual(split);
    await writeSplit(directory, { ...split, weight: 0.5 });
    expect(JSON.parse(readFileSync(file(), 'utf8'))).toEqual({ ...split, weight: 0.5 });
    await writeSplit(directory, null);
    await writeSplit(directory, null);
    expect(await readSplit(directory)).toBeNull();
  });

  it('says nothing once its version is current: the state between a rename and its removal is a whole one', async () => {
    await writeSplit(directory, { ...split, version: '1' });
    expect(await readSplit(directory)).toBeNull();
  });

  for (const [what, text] of [
    ['no JSON', '{"name": "m", "ver'],
    ['nothing', ''],
    ['a list', '[]'],
    ['all requests', JSON.stringify({ ...split, weight: 1 })],
    ['no requests', JSON.stringify({ ...split, weight: 0 })],
    ['a word as weight', JSON.stringify({ ...split, weight: '0.1' })],
  ] as const)
    it(`asks for nothing where it holds ${what}`, async () => {
      writeFileSync(file(), text);
      expect(await readSplit(directory)).toBeNull();
    });

  it('is never written with a label that leads elsewhere, or a share that is none', async () => {
    await expect(writeSplit(directory, { ...split, name: '../..' })).rejects.toMatchObject({ code: 'model_invalid' });
    await expect(writeSplit(directory, { ...split, weight: 1 })).rejects.toThrow();
    expect(await readSplit(directory)).toBeNull();
  });
});

describe('two models side by side (S3-25)', () => {
  const reports = (requests: number, errors: number, id = 'one'): Loaded => ({
    replica: { id, name: id, address: '10.0.0.1' },
    sha256: 'a',
    candidate: null,
    served: { b: { requests, errors, seconds: requests / 100 } },
    said: '',
  });

  it('counts what all processes have answered since the first look', () => {
    const before = [reports(10, 1), reports(5, 0, 'two')];
    expect(tallyOf('b', before, [reports(30, 2), reports(9, 0, 'two')])).toMatchObject({ requests: 24, errors: 1 });
    expect(tallyOf('other', before, before)).toEqual({ requests: 0, errors: 0, seconds: 0 });
  });

  it('counts a process that was started anew from its start', () => {
    expect(tallyOf('b', [reports(100, 7)], [reports(3, 1)])).toMatchObject({ requests: 3, errors: 1 });
    expect(tallyOf('b', [], [reports(3, 1, 'new')])).toMatchObject({ requests: 3, errors: 1 });
  });

  const tally = (requests: number, errors: number) => ({ requests, errors, seconds: requests / 100 });
  it('takes a candidate for worse when it fails more than 1 % more often (S0-42)', () => {
    expect(compareVariants(tally(100, 2), tally(900, 9))).toMatchObject({ verdict: 'pass' });
    expect(compareVariants(tally(100, 3), tally(900, 9))).toMatchObject({ verdict: 'fail', id: 'S3-25' });
    // What fails with both is not the fault of the candidate.
    expect(compareVariants(tally(100, 50), tally(900, 450))).toMatchObject({ verdict: 'pass' });
  });

  it('says nothing before there are enough requests', () => {
    expect(compareVariants(tally(0, 0), tally(900, 0))).toMatchObject({ verdict: 'inconclusive', needed: 20 });
    expect(compareVariants(tally(19, 19), tally(900, 0))).toMatchObject({ verdict: 'inconclusive', needed: 1 });
  });
});

describe('the watch of a split (S3-25)', () => {
  const side = (version: string) => ({ id: Number(version), name: 'm', version, sha256: version });
  /** A candidate that fails so many of its requests at each look. */
  const watch = async (failing: number, fires = false) => {
    let [now, look] = [0, 0];
    const clock = {
      now: () => now,
      monotonic: () => now,
      sleep: async (pause: number) => {
        now += pause;
      },
    };
    const loaded = async (): Promise<Loaded[]> => {
      look += 1;
      const served = {
        '1': { requests: 100 * look, errors: look, seconds: look },
        '2': { requests: 20 * look, errors: failing * look, seconds: look },
      };
      return [{ replica: { id: 'one', name: 'one', address: '' }, sha256: '1', candidate: null, served, said: '' }];
    };
    const trigger = { id: 'S0-42', verdict: 'fail', observed: '2 % errors' } as const;
    const steps = createSplitSteps({
      directory,
      registry: () => {
        throw new Error('a watch writes nothing');
      },
      live: () => true,
      judge: async () => ({ gates: [], rollback: fires ? [trigger] : [] }),
      loaded,
    });
    const args = { candidate: side('2'), baseline: side('1'), duration: 5_000 };
    const context = { operation: 'x', clock, signal: AbortSignal.timeout(10_000), progress: () => undefined };
    return steps.watchSplit
      .bind(args)
      .apply(context as Parameters<ReturnType<typeof steps.watchSplit.bind>['apply']>[0]);
  };

  it('ends after its time with what both have answered', async () => {
    expect(await watch(0)).toMatch(
      /^watched for 5.*: candidate 100 requests, 0 errors, .*; in force 500 requests, 5 errors/,
    );
  });

  it('takes the share away from a candidate that fails more often', async () => {
    await expect(watch(2)).rejects.toMatchObject({
      code: 'verdict_fail',
      message: expect.stringContaining('does not stand the watch: S3-25: candidate 20 requests, 2 errors'),
    });
  });

  it('takes it away when a trigger of the policy fires', async () => {
    await expect(watch(0, true)).rejects.toMatchObject({ message: expect.stringContaining('S0-42: 2 % errors') });
  });
});

describe('a share on the command line', () => {
  it('is a percentage', () => {
    expect(['10%', '10', '2.5 %', '99%', '0.1%'].map(parseShare)).toEqual([0.1, 0.1, 0.025, 0.99, 0.001]);
  });
  for (const text of ['0%', '0', '100%', '-1', 'ten', '', '1e1', '10%%', '0.00001'])
    it(`is not ${JSON.stringify(text)}`, () => {
      expect(() => parseShare(text)).toThrow(/is not a share of the requests; write for example 10%/);
    });
});
