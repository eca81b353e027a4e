import { open, rm, stat } from 'node:fs/promises';
import { copyFiles } from '../../host/copy-files.ts';
import type { Engine } from '../../host/docker.ts';
import { ApplianceError } from '../../lib/errors.ts';

/** A running PostgreSQL server. */
export interface PostgresServer {
  readonly service: string;
  readonly container: string;
  /** Its superuser, and the database it was made with. */
  readonly user: string;
  readonly database: string;
}

export interface Dumped {
  readonly bytes: number;
  readonly sha256: string;
  readonly rows: Readonly<Record<string, number>>;
  readonly serverVersion: string;
}

interface Call {
  readonly engine: Engine;
  readonly signal: AbortSignal;
  /** Milliseconds. */
  readonly timeout: number;
}

/** Before each line that is meant for us, among what psql and pg_dump say. */
const mark = '@backup';

/**
 * Rows of each table, as `schema.table` and a number. Tables of extensions are left out: their rows come with the
 * extension. One query, so that a restore and a drill count the same way.
 */
export const countRowsSql = `SELECT n.nspname || '.' || c.relname AS name,
  (xpath('/row/c/text()', query_to_xml(format('SELECT count(*) AS c FROM ONLY %I.%I', n.nspname, c.relname),
    false, true, '')))[1]::text AS rows
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1`;

/**
 * One session of psql exports its view of the database; pg_dump and the counts use it, so that both agree whatever is
 * written meanwhile. The dump goes to standard output, everything else to standard error. Uncompressed: restic finds
 * what is equal to yesterday, and compresses what is not.
 */
const dumpScript = `set -eu
export PGDATABASE="$2" BACKUP_USER="$1"
exec psql -X -q -A -t -v ON_ERROR_STOP=1 -U "$1" 3>&1 1>&2 <<'EOF'
SET statement_timeout = 0;
SET lock_timeout = '60s';
BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT pg_export_snapshot() AS snapshot \\gset
\\setenv BACKUP_SNAPSHOT :snapshot
SELECT '${mark} version ' || current_setting('server_version');
SELECT '${mark} rows ' || name || E'\\t' || rows FROM (${countRowsSql}) AS counted;
\\! pg_dump --format=custom --compress=0 --no-password --lock-wait-timeout=60s -U "$BACKUP_USER" --snapshot="$BACKUP_SNAPSHOT" </dev/null >&3; echo "${mark} dump $?" >&2
COMMIT;
EOF`;

/**
 * Two statements, each with its own view. The first tells where the server stands: whatever changes a row, a table or a
 * right writes to its log and moves it on; what moves without the log (unlogged tables, a standby, the next 31 values of a
 * sequence) is left out or told as well. The second tells whether no transaction was under way: one that had written
 * before and is not over yet would be missing in a dump, and need not write again.
 */
const positionSql = [
  `SELECT CASE WHEN pg_is_in_recovery() OR EXISTS (SELECT FROM pg_class WHERE relpersistence = 'u') THEN ''
    ELSE concat_ws(' ', (SELECT system_identifier FROM pg_control_system()), pg_postmaster_start_time(),
      (SELECT oid FROM pg_database WHERE datname = current_database()), pg_current_wal_insert_lsn(),
      (SELECT md5(string_agg(format('%I.%I %s', schemaname, sequencename, last_value), ',' ORDER BY schemaname, sequencename))
       FROM pg_sequences)) END`,
  'SELECT txid_snapshot_xmin(now) = txid_snapshot_xmax(now) FROM txid_current_snapshot() AS now',
] as const;

const listScript = `exec psql -X -q -A -t -v ON_ERROR_STOP=1 -U "$1" -d "$2" -c "SELECT datname FROM pg_database
  WHERE datallowconn AND NOT datistemplate AND (datname <> 'postgres' OR datname = current_database()) ORDER BY 1"`;

/** Accounts and their rights. Without the right to see passwords, accounts alone. */
const rolesScript = `pg_dumpall --globals-only --no-password -U "$1" -l "$2" 2>/tmp/.roles.$$ && { rm -f /tmp/.roles.$$; exit 0; }
rm -f /tmp/.roles.$$; exec pg_dumpall --globals-only --no-role-passwords --no-password -U "$1" -l "$2"`;

/** Names of the databases of a server, the empty one for maintenance left out. */
export async function listDatabases(server: PostgresServer, call: Call): Promise<string[]> {
  const result = await call.engine.exec(
    server.container,
    ['sh', '-c', listScript, 'sh', server.user, server.database],
    {
      timeout: 60_000,
      signal: call.signal,
    },
  );
  if (result.exitCode !== 0) throw dumpFailed(server.service, result.stderr);
  return result.stdout.split('\n').filter((line) => line !== '');
}

/**
 * Where the server stands: as long as this is the same, a database is as it was. Asked for before a dump.
 * @returns undefined where the server cannot say (a version before 10, a standby, unlogged tables); `quiet` when every
 *   transaction that had written was over
 */
export async function positionOf(
  server: PostgresServer,
  database: string,
  { engine, signal }: Call,
): Promise<{ readonly position: string; readonly quiet: boolean } | undefined> {
  const commands = positionSql.flatMap((sql) => ['-c', sql]);
  const argv = [
    'psql',
    '-X',
    '-q',
    '-A',
    '-t',
    '-v',
    'ON_ERROR_STOP=1',
    '-U',
    server.user,
    '-d',
    database,
    ...commands,
  ];
  const { exitCode, stdout } = await engine.exec(server.container, argv, { timeout: 60_000, signal });
  const [position = '', quiet] = stdout.split('\n');
  return exitCode === 0 && position !== '' ? { position, quiet: quiet === 't' } : undefined;
}

/**
 * Dumps one database inside its container, by the server's own pg_dump (S1-11, S1-20, S1-43).
 * @param to file that is written and synced; there is none when this fails
 * @throws ApplianceError `backup_failed`, `disk_full`, `timeout`, `engine_unreachable`; the signal's reason
 */
export async function dumpPostgres(
  server: PostgresServer,
  database: string,
  to: string,
  call: Call & { readonly onBytes: (bytes: number) => void },
): Promise<Dumped> {
  const argv = ['sh', '-c', dumpScript, 'sh', server.user, database];
  const { stderr, exitCode, bytes, sha256 } = await dumpInto(server, argv, to, { ...call, shell: true });
  const marks = stderr
    .split('\n')
    .flatMap((line) => (line.startsWith(`${mark} `) ? [line.slice(mark.length + 1)] : []));
  const value = (name: string) => marks.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1);
  if (exitCode !== 0 || value('dump') !== '0' || (await beginning(to, 5)) !== 'PGDMP') {
    await rm(to, { force: true });
    throw dumpFailed(`${server.service}/${database}`, stderr);
  }
  return {
    bytes,
    sha256,
    rows: parseRows(marks.flatMap((line) => (line.startsWith('rows ') ? [line.slice(5)] : [])).join('\n')),
    serverVersion: value('version') ?? '',
  };
}

/** Rows by table, from lines `schema.table<tab>rows`; other lines are left out. */
export function parseRows(output: string): Record<string, number> {
  return Object.fromEntries(
    output.split('\n').flatMap((line) => {
      const [, table, rows] = /^(.+)\t(\d+)$/.exec(line.trimEnd()) ?? [];
      return table === undefined ? [] : [[table, Number(rows)]];
    }),
  );
}

/** Writes accounts and rights of a server as SQL. */
export async function dumpRoles(
  server: PostgresServer,
  to: string,
  call: Call,
): Promise<{ bytes: number; sha256: string }> {
  const argv = ['sh', '-c', rolesScript, 'sh', server.user, server.database];
  const { exitCode, stderr, bytes, sha256 } = await dumpInto(server, argv, to, { ...call, shell: true });
  if (exitCode === 0 && bytes > 0) return { bytes, sha256 };
  await rm(to, { force: true });
  throw dumpFailed(`the accounts of ${server.service}`, stderr);
}

/**
 * Runs a command in a container and writes its output into a file, which is synced and read back for its hash.
 * @param shell whether the container has one: large dumps pass the engine by then
 * @throws ApplianceError `disk_full`, `timeout`, `engine_unreachable`; the signal's reason. There is no file then
 */
export async function dumpInto(
  { container }: { readonly container: string },
  argv: readonly string[],
  file: string,
  { engine, ...call }: Call & { readonly shell: boolean; readonly onBytes?: (bytes: number) => void },
): Promise<{ exitCode: number; stderr: string; bytes: number; sha256: string }> {
  try {
    const said = await engine.execInto(container, { argv, file, ...call });
    const { size } = await stat(file);
    const [written] = await copyFiles([{ from: file, size }], call.signal);
    if (!written) throw new Error(`${file} was not read`);
    return { ...said, ...written };
  } catch (error) {
    await rm(file, { force: true });
    call.signal.throwIfAborted();
    throw error;
  }
}

/** The first characters of a file. */
async function beginning(file: string, length: number): Promise<string> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, 0);
    return buffer.toString('latin1', 0, bytesRead);
  } finally {
    await handle.close();
  }
}

function dumpFailed(what: string, stderr: string): ApplianceError {
  const said = stderr
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith(mark))
    .slice(-2)
    .join('; ')
    .slice(-300);
  return new ApplianceError('backup_failed', `${what} could not be dumped: ${said || 'it gave no reason'}`, {
    left: 'no snapshot was made; the snapshots before it are untouched',
    hint: 'see whether the database runs and answers: appliance ps; then run it again: appliance backup now',
  });
}
