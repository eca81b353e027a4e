import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SourceRepository } from '../../src/host/git.ts';
import { commitOf } from '../../src/recipes/resolve.ts';

// A tag goes from the mirror of one host into that of another, whose repository does not have it.
let root: string;
let packed: string;
let commit: string;
const signal = new AbortController().signal;
const identity = ['-c', 'user.name=test', '-c', 'user.email=test@example.com', '-c', 'commit.gpgsign=false'];
const git = async (repository: string, ...args: string[]) =>
  (await execa('git', ['-C', join(root, repository), ...identity, ...args])).stdout;
const commitIn = (repository: string, text: string) =>
  git(repository, 'commit', '--quiet', '--allow-empty', '-m', text);
const mirrorOf = (repository: string, name: string) =>
  new SourceRepository(join(root, repository), join(root, `${name}.git`));

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'git-bundle-'));
  packed = join(root, 'packed');
  for (const repository of ['here', 'there']) {
    await execa('git', ['init', '--quiet', '--initial-branch=main', join(root, repository)]);
    await commitIn(repository, repository);
  }
  await git('there', 'tag', 'v0.1');
  await git('here', 'tag', '--annotate', 'v1.0', '--message', 'v1.0');
  const here = mirrorOf('here', 'from');
  await here.fetch();
  commit = await here.commitOf('v1.0');
  await here.pack('v1.0', commit, packed, signal);
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe('a tag that a bundle brings', () => {
  it('is known beside those of the repository, and a fetch does not take it away', async () => {
    const there = mirrorOf('there', 'to');
    await there.fetch();
    await there.adopt('v1.0', commit, packed, signal);
    await there.adopt('v1.0', commit, packed, signal);
    await there.fetch();
    expect((await there.tags()).sort()).toEqual(['v0.1', 'v1.0']);
    expect(await there.commitOf('v1.0')).toBe(commit);
    await expect(there.commitOf('v2.0')).rejects.toMatchObject({ code: 'tag_not_found' });
    // And goes on from there to a third one.
    const again = join(root, 'again');
    await there.pack('v1.0', commit, again, signal);
    const third = mirrorOf('nowhere', 'third');
    await third.adopt('v1.0', commit, again, signal);
    expect(await third.fetch()).toContain('does not appear to be a git repository');
    expect(await third.commitOf('v1.0')).toBe(commit);
  });

  it('is not known when it is another commit, another tag or no bundle of Git', async () => {
    const there = mirrorOf('there', 'careful');
    await expect(there.adopt('v1.0', 'd'.repeat(40), packed, signal)).rejects.toMatchObject({ code: 'git_failed' });
    await expect(there.adopt('v1.1', commit, packed, signal)).rejects.toMatchObject({ code: 'git_failed' });
    await writeFile(join(root, 'none'), 'no bundle');
    await expect(there.adopt('v1.0', commit, join(root, 'none'), signal)).rejects.toMatchObject({ code: 'git_failed' });
    expect(await there.tags()).toEqual([]);
    expect(await there.bundled('v1.0')).toBeUndefined();
  });

  it('is refused as moved where the repository names another commit later', async () => {
    const there = mirrorOf('there', 'moving');
    await there.adopt('v1.0', commit, packed, signal);
    const store = { ofTag: () => undefined } as never;
    const asked = (accept: boolean) => commitOf({ repository: there, store }, 'v1.0', accept, () => undefined, signal);
    expect(await asked(false)).toBe(commit);
    await git('there', 'tag', 'v1.0');
    await expect(asked(false)).rejects.toMatchObject({ code: 'moved_tag' });
    expect(await asked(true)).toBe((await git('there', 'rev-parse', 'HEAD')).trim());
    await git('there', 'tag', '--delete', 'v1.0');
  });

  it('cannot be packed once it names another commit', async () => {
    const here = mirrorOf('here', 'from');
    await expect(here.pack('v1.0', 'd'.repeat(40), join(root, 'no'), signal)).rejects.toMatchObject({
      code: 'moved_tag',
    });
  });
});
