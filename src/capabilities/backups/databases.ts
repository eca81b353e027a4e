import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatabaseCommands } from '../../config/backups.ts';
import type { Engine } from '../../host/docker.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/units.ts';
import { KeptDumps } from './kept-dumps.ts';
import type { BackupComponent } from './manifest.ts';
import {
  type Dumped,
  dumpInto,
  dumpPostgres,
  dumpRoles,
  listDatabases,
  type PostgresServer,
  parseRows,
  positionOf,
} from './postgres.ts';

/** A container that may hold a database. */
export interface DatabaseCandidate {
  readonly service: string;
  readonly container: string;
  readonly running: boolean;
  readonly labels: Readonly<Record<string, string>>;
  /** Its variables POSTGRES_USER and POSTGRES_DB, and PGDATA, by which PostgreSQL is known. */
  readonly environment: Readonly<Record<string, string>>;
}

/** How a database is dumped. */
export type DatabaseSource =
  | {
      readonly service: string;
      readonly container: string;
      readonly running: boolean;
      readonly kind: 'postgres';
      readonly user: string;
      readonly database: string;
    }
  | {
      readonly service: string;
      readonly container: string;
      readonly running: boolean;
      readonly kind: 'commands';
      readonly commands: DatabaseCommands;
    };

const labels = {
  dump: 'appliance.backup.dump',
  restore: 'appliance.backup.restore',
  count: 'appliance.backup.count',
} as const;

/** Variables by which a container of PostgreSQL is known. */
export const postgresKeys = [
  'POSTGRES_USER',
  'POSTGRES_DB',
  'POSTGRES_PASSWORD',
  'POSTGRES_PASSWORD_FILE',
  'PGDATA',
] as const;

/**
 * Which containers are databases, and how they are dumped: declared commands first, then PostgreSQL by its environment.
 * @param declared section `backups.databases` of appliance.yaml
 * @throws ApplianceError `config_invalid` for commands that are incomplete, or of a service that is not there
 */
export function databasesIn(
  candidates: readonly DatabaseCandidate[],
  declared: Readonly<Record<string, DatabaseCommands>>,
): DatabaseSource[] {
  return candidates.flatMap(({ service, container, running, labels: own, environment }): DatabaseSource[] => {
    const commands = declared[service] ?? commandsOf(service, own);
    if (commands) return [{ service, container, running, kind: 'commands', commands }];
    const { POSTGRES_USER: user = 'postgres', POSTGRES_DB: database = user } = environment;
    const isPostgres = ['POSTGRES_USER', 'POSTGRES_DB', 'POSTGRES_PASSWORD', 'POSTGRES_PASSWORD_FILE'].some(
      (key) => key in environment,
    );
    return isPostgres && 'PGDATA' in environment
      ? [{ service, container, running, kind: 'postgres', user, database }]
      : [];
  });
}

function commandsOf(service: string, own: Readonly<Record<string, string>>): DatabaseCommands | undefined {
  const [dump, restore, count] = [own[labels.dump], own[labels.restore], own[labels.count]];
  if (dump === undefined && restore === undefined) return undefined;
  if (dump === undefined || restore === undefined)
    throw new ApplianceError(
      'config_invalid',
      `the service ${service} has only one of ${labels.dump} and ${labels.restore}`,
      {
        left: 'nothing was touched',
        hint: 'a dump that nobody can restore is no backup; give both labels',
      },
    );
  return { dump: words(dump), restore: words(restore), ...(count === undefined ? {} : { count: words(count) }) };
}

/** A label as arguments: a JSON array, or words between spaces. It never goes through a shell. */
function words(text: string): string[] {
  if (!text.trim().startsWith('[')) return text.trim().split(/\s+/);
  try {
    const value: unknown = JSON.parse(text);
    if (Array.isArray(value) && value.every((word) => typeof word === 'string') && value.length > 0) return value;
  } catch {
    // Said below.
  }
  throw new ApplianceError('config_invalid', `${text.slice(0, 100)} is no list of arguments`, {
    left: 'nothing was touched',
    hint: 'write the label as ["program", "argument"], or as words between spaces',
  });
}

export interface DumpCall {
  readonly engine: Engine;
  readonly signal: AbortSignal;
  /** Milliseconds. */
  readonly timeout: number;
  progress(text: string): void;
}

/** Where dumps are written. */
export interface DumpPlaces {
  /** The directory that becomes `/snapshot`. */
  readonly staging: string;
  /** Directory with one of each PostgreSQL, which becomes `/snapshot/databases/<service>`: dumps that stay. */
  readonly dumps: string;
}

/**
 * Dumps every database. One that has not changed since its last dump is not read again.
 * @returns the parts, and the names of databases whose last dump still holds
 * @throws ApplianceError `backup_failed` when one does not run or its dump fails; `disk_full`, `timeout`
 */
export async function dumpDatabases(
  sources: readonly DatabaseSource[],
  { staging, dumps }: DumpPlaces,
  call: DumpCall,
): Promise<{ readonly components: BackupComponent[]; readonly unchanged: string[] }> {
  const components: BackupComponent[] = [];
  const unchanged: string[] = [];
  const kept = sources.flatMap(({ kind, service }) => (kind === 'postgres' ? [service] : []));
  await mkdir(dumps, { recursive: true, mode: 0o700 });
  for (const name of await readdir(dumps))
    if (!kept.includes(name)) await rm(join(dumps, name), { recursive: true, force: true });
  for (const source of sources) {
    if (!source.running) throw notRunning(source.service);
    const directory = join('databases', source.service);
    await rm(join(staging, directory), { recursive: true, force: true });
    await mkdir(join(staging, directory), { recursive: true, mode: 0o700 });
    if (source.kind === 'postgres') {
      const found = await postgres(source, new KeptDumps(join(dumps, source.service)), directory, call);
      components.push(...found.components);
      unchanged.push(...found.unchanged);
    } else components.push(await other(source, staging, directory, call));
  }
  return { components, unchanged };
}

async function postgres(
  source: Extract<DatabaseSource, { kind: 'postgres' }>,
  dumps: KeptDumps,
  directory: string,
  call: DumpCall,
): Promise<{ components: BackupComponent[]; unchanged: string[] }> {
  const { service } = source;
  const components: BackupComponent[] = [];
  const unchanged: string[] = [];
  const names = await listDatabases(source, call);
  await dumps.prepare(names.map(fileOf));
  for (const name of names) {
    const file = fileOf(name);
    const stands = await positionOf(source, name, call);
    const known = stands && (await dumps.find(file, stands.position));
    const dumped = known ?? (await dumpAnew(source, name, dumps, file, call));
    if (known) unchanged.push(`${service}/${name}`);
    else if (stands?.quiet) await dumps.keep(file, stands.position, dumped);
    const { bytes, sha256, rows, serverVersion } = dumped;
    components.push({
      name: `database:${service}/${name}`,
      path: join(directory, file),
      bytes,
      sha256,
      rows,
      serverVersion,
    });
  }
  const roles = await dumpRoles(source, join(dumps.directory, 'roles.sql'), call);
  components.push({ name: `roles:${service}`, path: join(directory, 'roles.sql'), ...roles });
  return { components, unchanged };
}

/** A name of its own for each database, whatever its letters. */
function fileOf(database: string): string {
  return `${database.replaceAll(/[^A-Za-z0-9_.-]/gu, (sign) => `%${Buffer.from(sign).toString('hex')}`)}.dump`;
}

async function dumpAnew(
  server: PostgresServer,
  database: string,
  dumps: KeptDumps,
  file: string,
  call: DumpCall,
): Promise<Dumped> {
  await dumps.forget(file);
  const onBytes = (bytes: number) => call.progress(`${server.service}/${database}: ${formatBytes(bytes)} dumped`);
  return dumpPostgres(server, database, join(dumps.directory, file), { ...call, onBytes });
}

async function other(
  { service, container, commands }: Extract<DatabaseSource, { kind: 'commands' }>,
  staging: string,
  directory: string,
  call: DumpCall,
): Promise<BackupComponent> {
  const path = join(directory, 'dump');
  const onBytes = (bytes: number) => call.progress(`${service}: ${formatBytes(bytes)} dumped`);
  const { exitCode, stderr, bytes, sha256 } = await dumpInto({ container }, commands.dump, join(staging, path), {
    ...call,
    shell: false,
    onBytes,
  });
  if (exitCode !== 0 || bytes === 0) {
    await rm(join(staging, path), { force: true });
    const why = exitCode === 0 ? 'it printed nothing' : `exit status ${exitCode}: ${stderr.trim().slice(-300)}`;
    throw new ApplianceError('backup_failed', `the dump command of ${service} failed: ${why}`, {
      left: 'no snapshot was made; the snapshots before it are untouched',
      hint: `try it: appliance exec ${service} -- ${commands.dump.join(' ')}`,
    });
  }
  if (!commands.count) return { name: `database:${service}`, path, bytes, sha256 };
  const counted = await call.engine.exec(container, commands.count, { timeout: call.timeout, signal: call.signal });
  if (counted.exitCode !== 0)
    throw new ApplianceError(
      'backup_failed',
      `the count command of ${service} failed: ${counted.stderr.trim().slice(-300)}`,
      {
        left: 'no snapshot was made; the snapshots before it are untouched',
        hint: `try it: appliance exec ${service} -- ${commands.count.join(' ')}`,
      },
    );
  return { name: `database:${service}`, path, bytes, sha256, rows: parseRows(counted.stdout) };
}

function notRunning(service: string): ApplianceError {
  return new ApplianceError('backup_failed', `the database ${service} does not run`, {
    left: 'no snapshot was made; the snapshots before it are untouched',
    hint: 'start it: appliance up; then run it again: appliance backup now',
  });
}
