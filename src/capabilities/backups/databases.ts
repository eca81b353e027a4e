import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatabaseCommands } from '../../config/backups.ts';
import type { Engine } from '../../host/docker.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/units.ts';
import type { BackupComponent } from './manifest.ts';
import { dumpInto, dumpPostgres, dumpRoles, listDatabases, parseRows } from './postgres.ts';

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

/**
 * Dumps every database into a directory.
 * @param staging the directory that becomes `/snapshot`
 * @throws ApplianceError `backup_failed` when one does not run or its dump fails; `disk_full`, `timeout`
 */
export async function dumpDatabases(
  sources: readonly DatabaseSource[],
  staging: string,
  call: DumpCall,
): Promise<BackupComponent[]> {
  const components: BackupComponent[] = [];
  for (const source of sources) {
    if (!source.running) throw notRunning(source.service);
    const directory = join('databases', source.service);
    await rm(join(staging, directory), { recursive: true, force: true });
    await mkdir(join(staging, directory), { recursive: true, mode: 0o700 });
    components.push(
      ...(source.kind === 'postgres'
        ? await postgres(source, staging, directory, call)
        : [await other(source, staging, directory, call)]),
    );
  }
  return components;
}

async function postgres(
  source: Extract<DatabaseSource, { kind: 'postgres' }>,
  staging: string,
  directory: string,
  call: DumpCall,
): Promise<BackupComponent[]> {
  const { service } = source;
  const components: BackupComponent[] = [];
  const names = await listDatabases(source, call);
  for (const name of names) {
    const path = join(directory, `${name.replaceAll(/[^A-Za-z0-9_.-]/g, '_')}.dump`);
    const dumped = await dumpPostgres(source, name, join(staging, path), {
      ...call,
      onBytes: throttled((bytes) => call.progress(`${service}/${name}: ${formatBytes(bytes)} dumped`)),
    });
    const { bytes, sha256, rows, serverVersion } = dumped;
    components.push({ name: `database:${service}/${name}`, path, bytes, sha256, rows, serverVersion });
  }
  const path = join(directory, 'roles.sql');
  components.push({ name: `roles:${service}`, path, ...(await dumpRoles(source, join(staging, path), call)) });
  return components;
}

async function other(
  { service, container, commands }: Extract<DatabaseSource, { kind: 'commands' }>,
  staging: string,
  directory: string,
  call: DumpCall,
): Promise<BackupComponent> {
  const path = join(directory, 'dump');
  const onBytes = throttled((bytes) => call.progress(`${service}: ${formatBytes(bytes)} dumped`));
  const { exitCode, stderr, bytes, sha256 } = await dumpInto({ container }, commands.dump, join(staging, path), {
    ...call,
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

/** Calls at most once a second. */
function throttled(tell: (bytes: number) => void): (bytes: number) => void {
  let last = 0;
  return (bytes) => {
    const now = performance.now();
    if (now - last < 1_000) return;
    last = now;
    tell(bytes);
  };
}
