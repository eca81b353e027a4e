import { join } from 'node:path';
import type { SourceHands } from '../../capabilities/checks/preflight/source.ts';
import { exists } from '../../host/files.ts';
import { gitPaths, readGit } from '../../host/git-objects.ts';
import { type CheckParts, once } from './parts.ts';

/** Names under which projects keep their changes. */
const changelogs = ['CHANGELOG.md', 'CHANGELOG', 'CHANGES.md', 'docs/CHANGELOG.md', 'HISTORY.md'];

/** The source of releases: the repository itself where it lies on this host, else the mirror that deploys are made from. */
export function repositoryHands({ config, paths }: Pick<CheckParts, 'config' | 'paths'>) {
  const { repository } = config.source;
  const remote = /^[a-z][a-z0-9+.-]*:\/\/|^[^/]+@[^/]+:/i.test(repository);
  const directory = once(async () => {
    const found = remote ? join(paths.lib, 'source.git') : repository.replace(/^file:\/\//, '');
    if (await exists(found)) return found;
    throw new Error(remote ? 'nothing was ever fetched from the repository' : `there is no ${found}`);
  });
  const git = async (args: readonly string[], signal: AbortSignal) => readGit(await directory(), args, signal);
  const source: SourceHands = {
    changes: async (signal) => {
      if (remote || (await git(['rev-parse', '--is-bare-repository'], signal)).trim() === 'true') return null;
      return (await git(['status', '--porcelain', '--untracked-files=normal'], signal))
        .split('\n')
        .filter((line) => line !== '');
    },
    tags: async (signal) => {
      if (!remote) return (await git(['tag', '--list'], signal)).split('\n');
      const text = await readGit('/', ['ls-remote', '--tags', '--refs', '--end-of-options', repository], signal);
      return text.split('\n').map((line) => line.replace(/^.*refs\/tags\//, ''));
    },
    changelog: async (tag, signal) => {
      const files = (await git(['ls-tree', '-r', '--name-only', '--full-tree', `refs/tags/${tag}`], signal)).split(
        '\n',
      );
      const found = changelogs.find((name) => files.includes(name));
      return found === undefined ? undefined : git(['show', `refs/tags/${tag}:${found}`], signal);
    },
  };
  return {
    source,
    directory,
    git,
    committed: async (signal: AbortSignal) => (await gitPaths(await directory(), signal)).values(),
  };
}
