import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Finding } from '../../../lib/verdict.ts';
import { type FileScan, type ScanOptions, scanFile } from './file.ts';

export type { FileScan, ScanOptions };

/** How much one file may become when it is unpacked, by default. */
export const unpackBounds = { bytes: 8 * 2 ** 30, ratio: 200 } as const;

/**
 * Looks at every file of a directory as an unpickler would, without loading anything. Fails closed: what cannot be read
 * to its end, is packed in an unknown way, names what no model library needs, or is of an unknown kind, is refused.
 * @param names only these files of it; default: all
 * @returns one entry for each file, members of archives included
 */
export async function scanDirectory(
  directory: string,
  options: ScanOptions,
  names?: readonly string[],
): Promise<FileScan[]> {
  const found: FileScan[] = [];
  for (const path of names ?? (await filesOf(directory))) {
    options.signal.throwIfAborted();
    const full = join(directory, path);
    const { size, mtimeMs } = await lstat(full);
    for await (const one of scanFile(full, path, options)) found.push(one);
    const after = await lstat(full);
    if (after.size !== size || after.mtimeMs !== mtimeMs)
      found.push({ path, kind: 'unknown', verdict: 'fail', reason: 'it changed while it was looked at', globals: [] });
  }
  return found;
}

async function filesOf(directory: string, below = ''): Promise<string[]> {
  const found: string[] = [];
  const entries = await readdir(join(directory, below), { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = below === '' ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) found.push(...(await filesOf(directory, path)));
    else found.push(path);
  }
  return found;
}

/** The scan as one finding: every file must pass. */
export function scanFinding(files: readonly FileScan[]): Finding {
  const bad = files.filter(({ verdict }) => verdict === 'fail');
  const expected = 'files that hold data, and name only what model libraries need';
  if (files.length === 0)
    return { id: 'scan', verdict: 'inconclusive', observed: 'there is no file', expected, samples: 0, needed: 1 };
  if (bad.length === 0)
    return {
      id: 'scan',
      verdict: 'pass',
      observed: `${files.length} files hold data alone`,
      expected,
      samples: files.length,
    };
  const shown = bad.slice(0, 5).map(({ path, reason }) => `${path}: ${reason}`);
  const more = bad.length > shown.length ? ` and ${bad.length - shown.length} more` : '';
  return {
    id: 'scan',
    verdict: 'fail',
    observed: shown.join('; ') + more,
    expected,
    samples: files.length,
    hint: 'do not load it; a class of your own application is allowed by models.classes in appliance.yaml',
  };
}
