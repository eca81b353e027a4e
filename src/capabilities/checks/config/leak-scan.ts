import { z } from 'zod';
import { gitPaths, readGit, readGitFiles } from '../../../host/git-objects.ts';
import { runInstalled } from '../../../host/run-installed.ts';
import { leaksIn } from './leak-patterns.ts';
import type { Leak, LeakScan } from './secrets-in-source.ts';

/** Files larger than this are data, and more than this in all takes longer than anybody waits. In bytes; milliseconds. */
const bounds = { each: 512 * 1024, total: 48 * 1024 * 1024, timeout: 8_000 };
/** Files that hold hashes and other noise by their nature. */
const noise =
  /(?:^|\/)(?:package-lock\.json|yarn\.lock|pnpm-lock\.yaml|poetry\.lock|uv\.lock|go\.sum|Cargo\.lock)$|\.(?:min\.js|map|svg|lock)$/;

const reportSchema = z.array(
  z.object({ File: z.string(), StartLine: z.number(), Description: z.string(), RuleID: z.string().optional() }),
);

/**
 * Looks for secrets in every commit of a repository: with gitleaks where it is installed, else with the patterns of this
 * program over Git's objects, within bounds.
 * @param at what counts as current: a tag, or HEAD
 * @throws Error when Git cannot read the repository
 */
export async function scanForLeaks(repository: string, at: string, signal: AbortSignal): Promise<LeakScan> {
  const current = await currentFiles(repository, at, signal);
  return (
    (await withGitleaks(repository, new Set(current.values()), signal)) ?? withPatterns(repository, current, signal)
  );
}

/** Object id → path of what a commit holds. */
async function currentFiles(repository: string, at: string, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
  const text = await readGit(repository, ['ls-tree', '-r', '-z', '--full-tree', at], signal);
  return new Map(
    text.split('\0').flatMap((line) => {
      const [, sha, path] = /^\d+ blob ([0-9a-f]+)\t([\s\S]+)$/.exec(line) ?? [];
      return sha === undefined || path === undefined ? [] : [[sha, path] as const];
    }),
  );
}

async function withGitleaks(
  repository: string,
  paths: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<LeakScan | undefined> {
  const args = [
    'detect',
    '--source',
    repository,
    '--no-banner',
    '--redact',
    '--log-level',
    'error',
    '--report-format',
    'json',
    '--report-path',
    '/dev/stdout',
  ];
  const result = await runInstalled('gitleaks', args, { timeout: 15_000, signal }).catch(() => undefined);
  // 0: nothing found, 1: something found; anything else is a scanner that does not work, and then we look ourselves.
  if (result === undefined || ![0, 1].includes(result.exitCode)) return undefined;
  const report = reportSchema.safeParse(parseJson(result.stdout));
  if (!report.success) return undefined;
  const leaks = report.data.map(({ File, StartLine, Description }) => ({
    path: File,
    line: StartLine,
    kind: Description,
    current: paths.has(File),
  }));
  return { leaks, files: paths.size, left: 0, by: 'gitleaks' };
}

async function withPatterns(
  repository: string,
  current: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<LeakScan> {
  const all = new Map([...current, ...(await gitPaths(repository, signal))].filter(([, path]) => !noise.test(path)));
  const leaks: Leak[] = [];
  let files = 0;
  const left = await readGitFiles(
    repository,
    all,
    bounds,
    ({ sha, path, content }) => {
      if (content.subarray(0, 8_000).includes(0)) return;
      files += 1;
      for (const { line, kind } of leaksIn(content.toString('utf8')))
        leaks.push({ path, line, kind, current: current.has(sha) });
    },
    signal,
  );
  return { leaks, files, left, by: 'built-in patterns' };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text.trim() === '' ? '[]' : text);
  } catch {
    return undefined;
  }
}
