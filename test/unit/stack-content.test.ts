import { chmod, mkdir, mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { contentHash } from '../../src/capabilities/stack/content.ts';
import { isRecreateLeftover } from '../../src/host/compose.ts';
import { withoutSecrets } from '../../src/host/compose-errors.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'stacktest-content-'));
  await writeFile(join(directory, 'a'), 'one');
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('a hash changes with content, names, executable bits and links, and with nothing else', async () => {
  const seen = new Set([await contentHash(directory)]);
  const changes: (() => Promise<unknown>)[] = [
    () => writeFile(join(directory, 'a'), 'two'),
    () => writeFile(join(directory, 'b'), ''),
    () => chmod(join(directory, 'b'), 0o755),
    () => mkdir(join(directory, 'empty')),
    () => symlink('/nowhere', join(directory, 'link')),
  ];
  for (const change of changes) {
    await change();
    seen.add(await contentHash(directory));
  }
  expect(seen.size).toBe(changes.length + 1);
  const before = await contentHash(directory);
  await utimes(join(directory, 'a'), 1, 1);
  await chmod(join(directory, 'a'), 0o600);
  expect(await contentHash(directory)).toBe(before);
});

test('the hash of a file is that of its bytes', async () => {
  expect(await contentHash(join(directory, 'a'))).toBe(
    '7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed',
  );
});

test('secrets are taken out, longest first, and short ones left alone', () => {
  expect(withoutSecrets('key=hunter2-long and hunter2, port 80', ['hunter2', 'hunter2-long', '80', ''])).toBe(
    'key=*** and ***, port 80',
  );
});

test('a leftover of a recreate is told from a container of its own', () => {
  expect(isRecreateLeftover('0123456789ab_demo-green-api-1', 'demo-green')).toBe(true);
  expect(isRecreateLeftover('0123456789ab_other-green-api-1', 'demo-green')).toBe(false);
  expect(isRecreateLeftover('demo-green-api-1', 'demo-green')).toBe(false);
  expect(isRecreateLeftover('0123456789_demo-green-api-1', 'demo-green')).toBe(false);
});
