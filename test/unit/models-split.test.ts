import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compareVariants, tallyOf } from '../../src/capabilities/models/comparison.ts';
import type { Loaded } from '../../src/capabilities/models/processes.ts';
import { readSplit, type Split, writeSplit } from '../../src/capabilities/models/split.ts';
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

describe('a share on the command line', () => {
  it('is a percentage', () => {
    expect(['10%', '10', '2.5 %', '99%', '0.1%'].map(parseShare)).toEqual([0.1, 0.1, 0.025, 0.99, 0.001]);
  });
  for (const text of ['0%', '0', '100%', '-1', 'ten', '', '1e1', '10%%', '0.00001'])
    it(`is not ${JSON.stringify(text)}`, () => {
      expect(() => parseShare(text)).toThrow(/is not a share of the requests; write for example 10%/);
    });
});
