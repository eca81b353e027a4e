import { join } from 'node:path';
import type { Change, Plan } from '../api/schema.ts';
import { countDeclared } from '../capabilities/backups/restore-commands.ts';
import { countRows } from '../capabilities/backups/restore-database.ts';
import { exists, readIfPresent } from '../host/files.ts';
import { asApplianceError } from '../lib/errors.ts';
import { count } from '../lib/text.ts';
import { formatBytes } from '../lib/units.ts';
import type { PlannedStep } from '../operations/step.ts';
import type { RestoreFacts } from '../recipes/restore.ts';
import type { Appliance } from './appliance.ts';
import { declaredServer, type FoundSnapshot, restoreServer } from './restore-deps.ts';

/** Bytes per second, where nothing like it was measured here yet: what a small virtual machine manages. */
const assumed = { 'stage-restore': 150_000_000, 'load-database': 25_000_000 } as const;
/** Seconds of an exchange that was never measured. */
const assumedSwap = 1;
/** Seconds until a new database server answers. */
const assumedServer = 10;

/** What a restore changes, in rows, models and files. Values of the configuration are never shown. */
export async function restoreChanges(
  a: Appliance,
  snapshot: FoundSnapshot,
  facts: RestoreFacts,
  signal: AbortSignal,
): Promise<{ changes: Change[]; notes: string[] }> {
  const notes: string[] = [];
  const live = facts.live?.tag ?? null;
  const then = snapshot.release?.tag ?? null;
  const changes: Change[] = [
    ...(live !== then ? [change('release', 'live when it was made', live, then)] : []),
    ...(await rowChanges(a, facts, notes, signal)),
    ...(await modelChanges(a, snapshot, facts)),
    ...(facts.config ? await configChanges(a, snapshot, signal) : []),
  ];
  if (live !== then)
    notes.push(
      `${then ?? 'no release'} was live then; ${live ?? 'none'} is live now, and stays: data alone are restored`,
    );
  notes.push(...declaredNotes(facts), ...looseNotes(facts));
  if (facts.safety.length === 0) notes.push('there is no safety snapshot: what is replaced is lost (--skip-safety)');
  return { changes, notes };
}

/** What a person must know of databases that are replaced in their place. */
export function declaredNotes({ declared }: Pick<RestoreFacts, 'declared'>): string[] {
  return declared.map(
    ({ service }) =>
      `${service} is loaded by its own restore command, into the database in use: what applications write meanwhile is lost, and they may see a part of it`,
  );
}

/** What a person must know of files that are no version of a model. */
function looseNotes({ models }: Pick<RestoreFacts, 'models'>): string[] {
  if (!models || models.loose.length === 0) return [];
  const { loose, served, to, from } = models;
  const named = loose.slice(0, 5).map(({ path }) => path);
  const more = loose.length > named.length ? ` and ${loose.length - named.length} more` : '';
  const all = loose.reduce((sum, { bytes }) => sum + bytes, 0);
  const inForce = to ?? from;
  const stays = served || !inForce ? '' : `; ${inForce.name}@${inForce.version} is what is served`;
  return [
    `${count(loose.length, 'file')} of the models directory that belong to no version (${formatBytes(all)}) are put back too: ${named.join(', ')}${more}${stays}`,
  ];
}

/** What a snapshot holds that only a bare host gets. */
export function leftOutNotes({ id, components }: Pick<FoundSnapshot, 'id' | 'components'>): string[] {
  const left = components
    .filter(({ name, bytes }) => ['persistent', 'monitoring'].includes(name) && bytes > 0)
    .map(({ name, bytes }) => `${name} (${formatBytes(bytes)})`);
  if (left.length === 0) return [];
  return [
    `what a restore leaves as it is today: ${left.join(', ')}; appliance backup export ${id} writes it down as files`,
  ];
}

async function rowChanges(
  a: Appliance,
  { databases, declared }: RestoreFacts,
  notes: string[],
  signal: AbortSignal,
): Promise<Change[]> {
  const changes: Change[] = [];
  for (const { service, database, rows } of databases) {
    const now = restoreServer(a, service, signal).then((server) => countRows(server, database, signal));
    changes.push(...rowsThenAndNow(database, await orNothing(now, `${service}/${database}`, notes), rows ?? {}));
  }
  const { timeout } = a.config.backups.limits;
  for (const { service, rows } of declared) {
    if (!rows) continue;
    const now = declaredServer(a.backups, service, signal).then((server) =>
      countDeclared(server, { engine: a.engine, timeout }, signal),
    );
    changes.push(...rowsThenAndNow(service, await orNothing(now, service, notes), rows));
  }
  return changes;
}

/** Counts of a database that may be broken; what cannot be said becomes a note. */
async function orNothing(
  counting: Promise<Record<string, number>>,
  what: string,
  notes: string[],
): Promise<Record<string, number>> {
  try {
    return await counting;
  } catch (error) {
    notes.push(`what ${what} holds now cannot be said: ${asApplianceError(error).message}`);
    return {};
  }
}

function rowsThenAndNow(
  database: string,
  now: Readonly<Record<string, number>>,
  then: Readonly<Record<string, number>>,
): Change[] {
  return [...new Set([...Object.keys(now), ...Object.keys(then)])].sort().flatMap((table) => {
    const [from, to] = [now[table], then[table]];
    return from === to ? [] : [change('rows', `${database} ${table}`, rowsText(from), rowsText(to))];
  });
}

async function modelChanges(a: Appliance, snapshot: FoundSnapshot, { models }: RestoreFacts): Promise<Change[]> {
  if (!models) return [];
  const label = ({ name, version }: { name: string; version: string }) => `${name}@${version}`;
  const { directory } = a.models;
  const there = (version: { name: string; version: string }) =>
    exists(join(directory, 'versions', version.name, version.version));
  const changes: Change[] = [];
  for (const version of models.versions)
    changes.push(
      change('model', label(version), (await there(version)) ? 'damaged' : null, formatBytes(version.bytes)),
    );
  if (models.registry !== null) {
    const then = new Set(snapshot.models.map(label));
    for (const now of knownVersions(a).map(label))
      if (!then.has(now)) changes.push(change('model', now, 'registered', null));
  }
  if (models.to && (models.from === null || label(models.to) !== label(models.from)))
    changes.push(change('model', 'in force', models.from && label(models.from), label(models.to)));
  return changes;
}

/** What the registry knows today; nothing where it is gone or damaged. */
function knownVersions(a: Appliance): { name: string; version: string }[] {
  try {
    return a.models.registry().page({ limit: 1_000 });
  } catch {
    return [];
  }
}

/** Keys of appliance.yaml and of the environment that differ, without their values. */
async function configChanges(a: Appliance, snapshot: FoundSnapshot, signal: AbortSignal): Promise<Change[]> {
  const changes: Change[] = [];
  const pairs = [
    ['config/etc/appliance.yaml', a.paths.config, topKey],
    ['config/environment', a.config.source.envFile, assignment],
  ] as const;
  for (const [path, file, keyOf] of pairs) {
    if (file === undefined) continue;
    const then = await a.backups.text(snapshot, `/snapshot/${path}`, signal).catch(() => undefined);
    const now = await readIfPresent(file);
    if (then === undefined || then === now) continue;
    const [before, after] = [sections(now ?? '', keyOf), sections(then, keyOf)];
    for (const key of [...new Set([...before.keys(), ...after.keys()])].sort()) {
      const [from, to] = [before.get(key), after.get(key)];
      if (from !== to) changes.push(change('file', `${file} ${key}`, from && masked, to && masked));
    }
  }
  return changes;
}

const masked = '***';
const topKey = /^([A-Za-z][\w-]*):/;
const assignment = /^\s*(?:export\s+)?([A-Za-z_]\w*)=/;

/** Parts of a text by the key that begins them. */
function sections(text: string, keyOf: RegExp): Map<string, string> {
  const found = new Map<string, string>();
  let key = '';
  for (const line of text.split('\n')) {
    if (/^\s*(?:#|$)/.test(line)) continue;
    key = keyOf.exec(line)?.[1] ?? key;
    found.set(key, `${found.get(key) ?? ''}${line}\n`);
  }
  return found;
}

const rowsText = (rows: number | undefined): string | null => (rows === undefined ? null : count(rows, 'row'));

function change(
  area: Change['area'],
  name: string,
  from: string | null | undefined,
  to: string | null | undefined,
): Change {
  const [old, next] = [from || null, to || null];
  return { area, name, kind: old === null ? 'added' : next === null ? 'removed' : 'changed', from: old, to: next };
}

/**
 * The time of each step: the median of earlier runs, else by its size.
 * @param downtime steps while which users, or clients of a database, are not served
 */
export function predictRestore(
  usual: (action: string) => number | null,
  plan: readonly PlannedStep[],
  facts: Pick<RestoreFacts, 'databases' | 'declared' | 'models'>,
  downtime: readonly string[] = ['replace-database', 'swap-database'],
): Pick<Plan, 'steps' | 'predictedSeconds' | 'predictedDowntimeSeconds'> {
  const dumps = facts.databases.reduce((sum, { bytes }) => sum + bytes, 0);
  const declared = facts.declared.reduce((sum, { bytes }) => sum + bytes, 0);
  const models = [...(facts.models?.versions ?? []), ...(facts.models?.loose ?? [])].reduce(
    (sum, { bytes }) => sum + bytes,
    0,
  );
  const guess = (action: string): number | null => {
    if (action === 'stage-restore') return 2 + (dumps + declared + models) / assumed[action];
    if (action === 'load-database') return 1 + dumps / assumed[action];
    if (action === 'rehearse-database') return assumedServer + declared / assumed['load-database'];
    if (action === 'keep-database' || action === 'replace-database') return 1 + declared / assumed['load-database'];
    return action === 'swap-database' ? assumedSwap : null;
  };
  const steps = plan.map(({ action, title, cause }) => {
    const ms = usual(action);
    return { action, title, cause, seconds: ms === null ? guess(action) : ms / 1_000 };
  });
  const sum = (of: typeof steps): number => of.reduce((total, { seconds }) => total + (seconds ?? 0), 0);
  return {
    steps,
    predictedSeconds: sum(steps),
    predictedDowntimeSeconds: sum(steps.filter(({ action }) => downtime.includes(action))),
  };
}
