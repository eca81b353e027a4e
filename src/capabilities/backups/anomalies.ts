import { formatBytes } from '../../lib/units.ts';
import type { Finding } from '../../lib/verdict.ts';
import type { BackupManifest } from './manifest.ts';

/** How many snapshots before it a new one is compared with. */
export const compared = 7;
/** A part that is left of what was usual is a collapse. */
const share = 0.5;
/** Below these, a change says nothing: bytes of a dump, rows of a table. */
const [fewBytes, fewRows] = [64 * 1024, 20];

type Contents = Pick<BackupManifest, 'components' | 'models'>;

/**
 * Looks for what has collapsed since the snapshots before: size of a dump, tables, rows, models. Pure. A backup of an emptied
 * database succeeds every night until the last good one has been forgotten; that is what this is against (S4-39).
 * @param before the newest first; the median of them counts
 * @returns findings with `fail` for each collapse; one `pass` when there is none, `inconclusive` without anything before
 */
export function anomalies(now: Contents, before: readonly Contents[]): Finding[] {
  const [last, ...rest] = before.slice(0, compared);
  if (!last) return [finding('inconclusive', 'there is no snapshot before it to compare with', 'at least one')];
  const history = [last, ...rest];
  const found = [...databases(now, last, history), ...models(now, last)];
  return found.length > 0 ? found : [finding('pass', `nothing has collapsed since ${history.length} snapshots before`)];
}

function databases(now: Contents, last: Contents, history: readonly Contents[]): Finding[] {
  return last.components.flatMap((was) => {
    if (!was.name.startsWith('database:')) return [];
    const is = now.components.find(({ name }) => name === was.name);
    if (!is) return [finding('fail', `${was.name} is not in it any more`, 'every database of the snapshot before')];
    const found: Finding[] = [];
    const usual = median(
      history.flatMap(({ components }) => components.find(({ name }) => name === was.name)?.bytes ?? []),
    );
    if (usual > fewBytes && is.bytes < usual * share)
      found.push(
        finding('fail', `the dump of ${was.name} has ${formatBytes(is.bytes)}`, `about ${formatBytes(usual)}`),
      );
    return [...found, ...tables(was, is)];
  });
}

function tables(was: Contents['components'][number], is: Contents['components'][number]): Finding[] {
  const [before, after] = [was.rows, is.rows];
  if (!before || !after) return [];
  const gone = Object.keys(before).filter((table) => !(table in after));
  const emptied = Object.entries(before).filter(
    ([table, rows]) => rows >= fewRows && (after[table] ?? rows) < rows * share,
  );
  return [
    ...(gone.length > 0
      ? [finding('fail', `${was.name} has lost ${names(gone)}`, 'every table of the snapshot before')]
      : []),
    ...emptied
      .slice(0, 10)
      .map(([table, rows]) => finding('fail', `${table} of ${was.name} has ${after[table]} rows`, `about ${rows}`)),
  ];
}

function models(now: Contents, last: Contents): Finding[] {
  const known = new Set(now.models.map(({ name, version }) => `${name}@${version}`));
  const gone = last.models.map(({ name, version }) => `${name}@${version}`).filter((label) => !known.has(label));
  // One version that somebody removed is work; half of them is an accident.
  if (gone.length === 0 || (gone.length < last.models.length * share && gone.length < 5)) return [];
  return [
    finding(
      'fail',
      `${gone.length} of ${last.models.length} models are gone: ${names(gone)}`,
      'every model of the snapshot before',
    ),
  ];
}

function names(list: readonly string[]): string {
  return list.length > 5 ? `${list.slice(0, 5).join(', ')} and ${list.length - 5} more` : list.join(', ');
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function finding(verdict: Finding['verdict'], observed: string, expected = 'no collapse'): Finding {
  return { id: 'backup-anomaly', verdict, observed, expected };
}
