import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { save } from '../../src/cli/save.ts';

// A report or a bundle is there as a whole or not at all.
let folder: string;
const target = () => join(folder, 'report.md');

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'save-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

it('writes a file of many pieces with its mode', async () => {
  const result = await save(target(), 0o600, async (append) => {
    for (const piece of ['one ', Buffer.from('two')]) await append(piece);
    return 2;
  });
  expect(result).toBe(2);
  expect(await readFile(target(), 'utf8')).toBe('one two');
  expect((await stat(target())).mode & 0o777).toBe(0o600);
});

it('leaves what was there when it is cut short, and nothing else', async () => {
  await writeFile(target(), 'before');
  const cut = save(target(), 0o644, async (append) => {
    await append('half');
    throw new Error('the agent ended');
  });
  await expect(cut).rejects.toThrow('the agent ended');
  expect(await readFile(target(), 'utf8')).toBe('before');
  expect(await readdir(folder)).toEqual(['report.md']);
});

it.each([
  ['no directory', () => join(folder, 'none/report.md'), 'usage'],
  ['a file for a directory', () => '/etc/hostname/report.md', 'usage'],
  ['a directory in its place', () => folder, 'usage'],
  ['what nobody may write', () => '/proc/report.md', 'usage'],
])('says what to do about %s', async (_, path, code) => {
  const saving = save(path(), 0o644, (append) => append('text'));
  await expect(saving).rejects.toMatchObject({
    code,
    message: expect.stringContaining(path()),
    hint: expect.stringMatching(/--output/),
  });
  expect(await readdir(folder)).toEqual([]);
});
