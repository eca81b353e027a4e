import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseEnvironment, readEnvironment } from '../../src/config/environment.ts';
import { ApplianceError } from '../../src/lib/errors.ts';

function refusal(text: string): string {
  try {
    parseEnvironment(text, '/etc/env');
  } catch (error) {
    if (error instanceof ApplianceError && error.code === 'config_invalid') return error.message;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('parseEnvironment', () => {
  test.each([
    ['A=1', { A: '1' }],
    ['  export A = x y  # comment', { A: 'x y' }],
    ['A=', { A: '' }],
    ['A=a#b', { A: 'a#b' }],
    ['A="x # y" # z', { A: 'x # y' }],
    [`A='\${B} \\n'`, { A: `\${B} \\n` }],
    ['A="a\\nb\\"c\\\\"', { A: 'a\nb"c\\' }],
    ['A="one\ntwo"\nB=3', { A: 'one\ntwo', B: '3' }],
    ['# only\n\n   \n', {}],
    ['\uFEFFA=1\r\nB=2\r\n', { A: '1', B: '2' }],
    ['A.B-C=1', { 'A.B-C': '1' }],
    ['__proto__=1', JSON.parse('{"__proto__":"1"}')],
  ])('%j', (text, expected) => {
    expect(parseEnvironment(text, 'f').values).toEqual(expected);
  });

  test('a line that the kernel would not take is refused with its number, quickly, and without its content', () => {
    const text = `A=1\nSECRET=${'geheim'.repeat(900_000)}\n`;
    const began = performance.now();
    expect(refusal(text)).toBe('/etc/env:2: the line is 5.1 MiB long; the kernel takes 128 KiB at most');
    expect(performance.now() - began).toBeLessThan(10_000);
  });

  test('duplicate keys name both lines', () => {
    expect(refusal('A=1\nB=2\nA=3\n')).toBe('/etc/env:3: A stands on line 1 already');
  });

  test.each([
    ['geheim', 'write KEY=value'],
    ['A=1\n=geheim', 'write KEY=value'],
    ['1A=geheim', 'write KEY=value'],
    ['A="geheim\nmore', 'the quote of A is never closed'],
    ["A='x' geheim", 'there is text after the closing quote of A'],
    ['A=ge\0heim', 'NUL'],
  ])('%j is refused without showing it', (text, message) => {
    expect(refusal(text)).toContain(message);
    expect(refusal(text)).not.toContain('geheim');
  });

  test('the hash is that of what it says, not of how it is written', () => {
    const hash = (text: string) => parseEnvironment(text, 'f').sha256;
    expect(hash('# c\r\nA="1"\r\n\r\nB=2')).toBe(hash('A=1\nB=2\n'));
    expect(hash('A=1\nB=3')).not.toBe(hash('A=1\nB=2'));
    expect(hash('A=1\nB=$A')).not.toBe(hash('B=$A\nA=1'));
    expect(hash('A=1B=2')).not.toBe(hash('A=1\nB=2'));
  });
});

describe('readEnvironment', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'environment-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  test('without a file the environment is empty', async () => {
    expect(await readEnvironment(undefined)).toMatchObject({ text: undefined, values: {} });
  });

  test('a file that others may read is refused', async () => {
    const path = join(directory, 'env');
    await writeFile(path, 'A=geheim\r\n', { mode: 0o644 });
    await expect(readEnvironment(path)).rejects.toMatchObject({ code: 'config_invalid', hint: `chmod 600 ${path}` });
    await chmod(path, 0o600);
    expect(await readEnvironment(path)).toMatchObject({ text: 'A=geheim\n', values: { A: 'geheim' } });
  });

  test('a missing file and a directory', async () => {
    await expect(readEnvironment(join(directory, 'none'))).rejects.toMatchObject({ code: 'config_missing' });
    await chmod(directory, 0o700);
    await expect(readEnvironment(directory)).rejects.toMatchObject({ code: 'config_invalid' });
  });
});
