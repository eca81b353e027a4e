import { resolve } from 'node:path';
import type { Backup, BackupDetail } from '../../api/backups.ts';
import { age, seconds, shortAge } from '../../api/describe.ts';
import { ApplianceError, asApplianceError, exitCodes } from '../../lib/errors.ts';
import { count } from '../../lib/text.ts';
import { formatBytes } from '../../lib/units.ts';
import type { Call } from '../catalog.ts';
import { exitCodeOfVerdict } from '../exit.ts';
import { type Look, mark, speak } from '../output/look.ts';
import { table } from '../output/table.ts';
import type { Session } from '../session.ts';
import { operate, waitOf } from './operate.ts';

export function now(call: Call<'backup now'>, session: Session): Promise<number> {
  const { protect, wait, detach } = call.options;
  return operate(session, {
    route: 'backupNow',
    title: 'backup',
    detach,
    input: { protect, acceptMissing: call.options['accept-missing'], wait: waitOf(wait) },
  });
}

export async function list(_call: Call<'backup list'>, session: Session): Promise<number> {
  const backups = await (await session.client()).ask('backups', {}, session.signal);
  session.answer(backups, () =>
    backups.length === 0
      ? ['there is no snapshot yet; make one: appliance backup now']
      : backupTable(backups, session.out, Date.now()),
  );
  return exitCodes.done;
}

export async function show(call: Call<'backup show'>, session: Session): Promise<number> {
  const snapshot = call.args.snapshot ?? 'latest';
  const backup = await (await session.client()).ask('backupShow', { snapshot }, session.signal);
  session.answer(backup, () => backupLines(backup, session.out));
  return exitCodes.done;
}

export async function verify(call: Call<'backup verify'>, session: Session): Promise<number> {
  const { snapshot } = call.args;
  session.note(snapshot === undefined ? 'reading the whole repository back' : `reading ${snapshot} back`);
  const input = { ...(snapshot === undefined ? {} : { snapshot }), wait: waitOf(call.options.wait) };
  const result = await (await session.client()).ask('backupVerify', input, session.signal);
  session.answer(result, () =>
    result.checks.flatMap(({ id, verdict, observed, hint }) => [
      `${mark(session.out, verdict)} ${id}  ${observed}`,
      ...(hint ? [speak(session.out, `  → ${hint}`)] : []),
    ]),
  );
  return exitCodeOfVerdict(result.verdict);
}

export function protect(call: Call<'backup protect'>, session: Session): Promise<number> {
  return setProtected(call.args.snapshot, true, call.options.wait, session);
}

export function unprotect(call: Call<'backup unprotect'>, session: Session): Promise<number> {
  return setProtected(call.args.snapshot, false, call.options.wait, session);
}

export async function exportSnapshot(call: Call<'backup export'>, session: Session): Promise<number> {
  const { snapshot, directory } = call.args;
  if (directory?.trim() === '')
    throw new ApplianceError('usage', 'the name of the directory is empty', {
      left: 'nothing was written',
      hint: 'name a directory, or leave it out: then it is exports/ID in the state directory',
    });
  const input = { snapshot, ...(directory === undefined ? {} : { directory: resolve(directory) }) };
  const client = await session.client();
  const made = await client.ask('backupExport', input, session.signal).catch((error: unknown) => {
    if (!session.signal.aborted) throw error;
    const { code, message } = asApplianceError(session.signal.reason);
    throw new ApplianceError(code, `${message}; nothing is exported`, { left: 'what was written is removed again' });
  });
  session.answer(made, () => [
    `${mark(session.out, 'pass')} ${made.id} is in ${made.directory}; it is not encrypted, and it holds secrets`,
    ...made.files.map(({ name, bytes }) => `  ${name}  ${formatBytes(bytes)}`),
  ]);
  return exitCodes.done;
}

export function prune(call: Call<'backup prune'>, session: Session): Promise<number> {
  const { wait } = call.options;
  return operate(session, {
    route: 'backupPrune',
    title: 'backup prune',
    detach: false,
    input: { wait: waitOf(wait) },
  });
}

async function setProtected(
  snapshot: string,
  on: boolean,
  wait: Parameters<typeof waitOf>[0],
  session: Session,
): Promise<number> {
  const input = { snapshot, protected: on, wait: waitOf(wait) };
  const changed = await (await session.client()).ask('backupProtect', input, session.signal);
  session.answer(changed, () => [
    `${mark(session.out, 'pass')} ${changed.id} is ${on ? 'kept whatever the policy says' : 'kept as the policy says'}`,
  ]);
  return exitCodes.done;
}

/** @param now milliseconds since 1970 */
export function backupTable(backups: readonly Backup[], look: Look, now: number): string[] {
  return table<Backup>(
    [
      { title: 'SNAPSHOT', value: ({ id }) => id },
      { title: 'AGE', value: ({ time }) => shortAge(time, now) },
      { title: 'KIND', value: ({ kind }) => kind },
      { title: 'SIZE', value: ({ bytes }) => (bytes === null ? '–' : formatBytes(bytes)), align: 'right' },
      { title: 'NEW', value: ({ added }) => (added === null ? '–' : formatBytes(added)), align: 'right', dropAt: 2 },
      { title: 'PROVEN', value: ({ proven }) => (proven ? shortAge(proven.time, now) : 'no') },
      {
        title: 'KEPT',
        value: ({ kept, problem }) => problem ?? (kept.length > 0 ? kept.join(', ') : 'the next prune forgets it'),
        least: 12,
      },
    ],
    backups,
    look,
  );
}

function backupLines(backup: BackupDetail, look: Look): string[] {
  const { id, kind, time, release, components, models, proven, findings, kept, drills } = backup;
  return [
    `${id}  ${kind}, ${age(time, Date.now())} ago${release ? `, while ${release.tag} was live` : ''}`,
    `proven     ${proven ? `${age(proven.time, Date.now())} ago, restored in ${seconds(proven.seconds)}` : 'never; prove it: appliance backup drill'}`,
    `kept       ${kept.length > 0 ? kept.join(', ') : 'the next prune forgets it'}`,
    '',
    ...table(
      [
        { title: 'PART', value: ({ name }) => name },
        { title: 'SIZE', value: ({ bytes }) => formatBytes(bytes), align: 'right' },
        { title: 'ROWS', value: ({ rows }) => rowsText(rows), align: 'right' },
        { title: 'SHA-256', value: ({ sha256 }) => sha256?.slice(0, 12) ?? '–' },
        { title: 'PATH', value: ({ path }) => path, dropAt: 1 },
      ],
      components,
      look,
    ),
    ...(models.length === 0 ? [] : ['', `${count(models.length, 'model')}:`]),
    ...models.map(
      ({ name, version, sha256, bytes }) => `  ${name}@${version}  ${sha256.slice(0, 12)}  ${formatBytes(bytes)}`,
    ),
    ...(findings.length === 0 ? [] : ['']),
    ...findings.map(({ verdict, observed }) => `${mark(look, verdict)} ${observed}`),
    ...drillLines(drills[0], look),
  ];
}

/** The report of the last drill of a snapshot on this host. */
function drillLines(drill: BackupDetail['drills'][number] | undefined, look: Look): string[] {
  if (!drill) return [];
  const depth = drill.depth === 'deep' ? ' in depth' : '';
  return [
    '',
    `drill${depth}, ${age(drill.time, Date.now())} ago: restored in ${seconds(drill.seconds)}, the snapshot was ${seconds(drill.ageSeconds)} old`,
    ...drill.findings.map(
      ({ id, verdict, observed }) =>
        `${mark(look, verdict)} ${speak(look, `${id.replace(/^drill-/, '')}: ${observed}`)}`,
    ),
    ...drill.untested.map((what) => `${mark(look, 'inconclusive')} ${speak(look, `not tested: ${what}`)}`),
  ];
}

function rowsText(rows: Readonly<Record<string, number>> | null): string {
  if (rows === null) return '';
  const tables = Object.values(rows);
  return `${tables.reduce((sum, one) => sum + one, 0)} in ${count(tables.length, 'table')}`;
}
