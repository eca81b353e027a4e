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
    const found = remote ? mirror : repository.replace(/^file:\/\//, '');
    if (await exists(found)) return found;
    throw new Error(remote ? 'nothing was ever fetched from the repository' : `there is no ${found}`);
  });
  const mirror = join(paths.lib, 'source.git');
  /** Tags that bundles have brought, which the repository need not have. */
  const bundled = async (signal: AbortSignal): Promise<string[]> => {
    if (!(await exists(mirror))) return [];
    const text = await readGit(mirror, ['for-each-ref', '--format=%(refname:strip=2)', 'refs/bundles'], signal);
    return text.split('\n').filter((line) => line !== '');
  };
  const git = async (args: readonly string[], signal: AbortSignal) => readGit(await directory(), args, signal);
  const own = async (signal: AbortSignal): Promise<string[]> => {
    if (!remote) return (await git(['tag', '--list'], signal)).split('\n');
    const text = await readGit('/', ['ls-remote', '--tags', '--refs', '--end-of-options', repository], signal);
    return text.split('\n').map((line) => line.replace(/^.*refs\/tags\//, ''));
  };
  const source: SourceHands = {
    changes: async (signal) => {
      if (remote || (await git(['rev-parse', '--is-bare-repository'], signal)).trim() === 'true') return null;
      return (await git(['status', '--porcelain', '--untracked-files=normal'], signal))
        .split('\n')
        .filter((line) => line !== '');
    },
    tags: async (signal) => {
      const known = await bundled(signal);
      return [...known, ...(known.length === 0 ? await own(signal) : await own(signal).catch(() => []))];
    },
    changelog: async (tag, signal) => {
      const from = (await bundled(signal)).includes(tag)
        ? { repository: mirror, ref: `refs/bundles/${tag}` }
        : { repository: await directory(), ref: `refs/tags/${tag}` };
      const read = (args: readonly string[]) => readGit(from.repository, args, signal);
      const files = (await read(['ls-tree', '-r', '--name-only', '--full-tree', from.ref])).split('\n');
      const found = changelogs.find((name) => files.includes(name));
      return found === undefined ? undefined : read(['show', `${from.ref}:${found}`]);
    },
  };
  return {
    source,
    directory,
    git,
    committed: async (signal: AbortSignal) => (await gitPaths(await directory(), signal)).values(),
  };
}
