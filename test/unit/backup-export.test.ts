import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeDirectory } from '../../src/capabilities/backups/export.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'export-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

test('an export makes its directory for its owner alone, and uses one that is there', async () => {
  const fresh = join(root, 'fresh');
  expect(await makeDirectory(fresh)).toBe(true);
  expect((await stat(fresh)).mode & 0o777).toBe(0o700);
  await mkdir(join(root, 'there'));
  expect(await makeDirectory(join(root, 'there'))).toBe(false);
});

test('an export refuses a file, and a directory whose parent is not there', async () => {
  await writeFile(join(root, 'file'), 'kept');
  for (const wrong of ['file', 'file/below', 'not-mounted/export'])
    await expect(makeDirectory(join(root, wrong)), wrong).rejects.toMatchObject({ code: 'usage', exit: 2 });
  expect(existsSync(join(root, 'not-mounted'))).toBe(false);
  await symlink(join(root, 'gone'), join(root, 'link'));
  await expect(makeDirectory(join(root, 'link'))).rejects.toMatchObject({
    message: expect.stringContaining('leads nowhere'),
  });
  // A directory of the kernel, in which nothing can be made: Node's own recursive mkdir never returns from it.
  await expect(makeDirectory('/proc/export/below')).rejects.toMatchObject({ code: 'usage' });
  await expect(makeDirectory('/proc/export')).rejects.toMatchObject({ code: 'usage' });
});
