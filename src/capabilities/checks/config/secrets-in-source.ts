import { count } from '../../../lib/text.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';

/** A place where something looks like a secret; never the secret itself. */
export interface Leak {
  readonly path: string;
  readonly line: number;
  /** `private key`, `GitHub token`. */
  readonly kind: string;
  /** Whether the latest commit still holds it. */
  readonly current: boolean;
}

export interface LeakScan {
  readonly leaks: readonly Leak[];
  /** Files that were looked at. */
  readonly files: number;
  /** Files that were too large, or too many, to look at. */
  readonly left: number;
  /** `gitleaks`, or the patterns of this program. */
  readonly by: string;
}

/** Secrets in the files that are deployed (S2-3, S3-2, S1-16). */
export function secretsInTreeCheck(scan: (signal: AbortSignal) => Promise<LeakScan>): Check {
  return {
    id: 'config.secrets-in-tree',
    group: 'config',
    requirement: ['S2-3', 'S3-2', 'S1-16'],
    about: 'secrets in the source',
    expected: 'none',
    hint: 'take it out, read it from the environment, and renew it: whoever has the repository has it',
    deadline: 20_000,
    look: async (signal) => judge(await scan(signal), true),
  };
}

/** Secrets in earlier commits: taken out later, they are still there for everybody (S2-3, S3-2). */
export function secretsInHistoryCheck(scan: (signal: AbortSignal) => Promise<LeakScan>): Check {
  return {
    id: 'config.secrets-in-history',
    group: 'config',
    requirement: ['S2-3', 'S3-2'],
    about: 'secrets in earlier commits',
    expected: 'none',
    hint: 'renew it; then, if it must go, git filter-repo takes it out of every commit',
    deadline: 20_000,
    look: async (signal) => judge(await scan(signal), false),
  };
}

function judge({ leaks, files, left, by }: LeakScan, current: boolean) {
  const found = leaks.filter((leak) => leak.current === current);
  const first = found.slice(0, 4).map(({ path, line, kind }) => `${path}:${line} (${kind})`);
  if (found.length > 0)
    return fail(`${first.join(', ')}${found.length > 4 ? ` and ${found.length - 4} more` : ''}`, { samples: files });
  if (left > 0 && !current)
    return inconclusive(`none in ${count(files, 'file')}, but ${left} were too large or too many to look at`, {
      samples: files,
      needed: left,
      hint: 'install gitleaks, which looks at all of them',
    });
  return pass(`none in ${count(files, 'file')} (${by})`, { samples: files });
}
