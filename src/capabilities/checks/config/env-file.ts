import { basename } from 'node:path';
import { type Check, fail, inconclusive, pass } from '../check.ts';

export interface FileFacts {
  /** The permission bits. */
  readonly mode: number;
  readonly uid: number;
}
type Stat = (path: string) => Promise<FileFacts | undefined>;
const octal = (mode: number) => (mode & 0o777).toString(8).padStart(3, '0');

/** The environment file is for its owner alone, and the owner is whoever runs the appliance (S1-14). */
export function envModeCheck(path: string | undefined, stat: Stat, uid: number): Check {
  return {
    id: 'config.env-mode',
    group: 'config',
    requirement: ['S1-14', 'S0-6'],
    about: 'mode and owner of the environment file',
    expected: `600, owned by user ${uid}`,
    hint: path === undefined ? 'name it in source.envFile' : `chown ${uid} ${path} && chmod 600 ${path}`,
    look: async () => {
      if (path === undefined) return inconclusive('appliance.yaml names no environment file (source.envFile)');
      const found = await stat(path);
      if (!found) return fail(`there is no ${path}`);
      const good = (found.mode & 0o177) === 0 && (found.uid === uid || found.uid === 0);
      return (good ? pass : fail)(`${octal(found.mode)}, owned by user ${found.uid}`);
    },
  };
}

/** Files with secrets of receivers and the like are for their owner alone (S0-16). */
export function secretFilesCheck(paths: () => Promise<readonly string[]>, stat: Stat): Check {
  return {
    id: 'config.secret-files',
    group: 'config',
    requirement: ['S0-16'],
    about: 'files that hold one secret each',
    expected: 'readable by their owner alone',
    hint: 'chmod 600 each of them',
    look: async () => {
      const all = await paths();
      const open = await Promise.all(
        all.map(async (path) => {
          const found = await stat(path);
          return found && (found.mode & 0o077) === 0 ? [] : [`${path} ${found ? octal(found.mode) : 'is missing'}`];
        }),
      );
      const bad = open.flat();
      return bad.length > 0
        ? fail(bad.join(', '), { samples: all.length })
        : pass(`${all.length} looked at`, { samples: all.length });
    },
  };
}

/** Names of files that hold secrets and must not be in a repository; examples may. */
const environmentFile = /(?:^|\/)\.env(?!\.(?:example|sample|template|dist)$)(?:\.[^/]+)?$/;

/**
 * No commit has ever held an environment file (S0-6).
 * @param committed paths of every file that any commit holds
 */
export function neverCommittedCheck(
  path: string | undefined,
  committed: (signal: AbortSignal) => Promise<Iterable<string>>,
): Check {
  return {
    id: 'config.env-committed',
    group: 'config',
    requirement: ['S0-6', 'S1-16'],
    about: 'environment files in the repository',
    expected: 'none, in no commit',
    hint: 'renew every secret in it, then take it out of the history: git filter-repo --invert-paths --path FILE',
    look: async (signal) => {
      const own = path === undefined ? undefined : basename(path);
      const paths = [...(await committed(signal))];
      const found = [
        ...new Set(
          paths.filter(
            (one) =>
              environmentFile.test(one) || (own !== undefined && /\benv\b|\.env$/.test(own) && basename(one) === own),
          ),
        ),
      ];
      return found.length > 0
        ? fail(found.slice(0, 5).join(', '))
        : pass(`${paths.length} paths looked at`, { samples: paths.length });
    },
  };
}

/** What editors, and people in a hurry, leave beside a file. */
const leftover = /(?:~|\.(?:bak|old|orig|save|swp|swo|tmp|copy|\d+))$/i;

/**
 * Nobody left a copy of the environment file lying about (S0-18).
 * @param beside names of the files in its directory
 */
export function leftoversCheck(path: string | undefined, beside: () => Promise<readonly string[]>): Check {
  return {
    id: 'config.leftovers',
    group: 'config',
    requirement: ['S0-18'],
    about: 'copies of the environment file',
    expected: 'none',
    hint: 'remove them: shred -u FILE',
    look: async () => {
      if (path === undefined) return inconclusive('appliance.yaml names no environment file (source.envFile)');
      const own = basename(path);
      const found = (await beside()).filter(
        (name) => name !== own && leftover.test(name) && name.replace(/^\./, '').startsWith(own.replace(/^\./, '')),
      );
      return found.length > 0 ? fail(found.join(', ')) : pass('none');
    },
  };
}
