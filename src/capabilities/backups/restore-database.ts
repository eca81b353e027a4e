import { countRowsSql, parseRows } from './postgres.ts';
import { loadProperties } from './restore-properties.ts';
import { type RestoreServer, restoreFailed } from './restore-server.ts';

/** Milliseconds for one statement. */
const statementTimeout = 120_000;
/** Milliseconds for counting all rows. */
const countTimeout = 1_800_000;
/** Longest name of a database, in bytes (postgresql.org/docs/current/limits.html). */
const longestName = 63;

/**
 * What the databases of one restore are called: the one that is loaded beside, and the one that was replaced, until the
 * proof. Of the operation, so that nothing of another one is ever taken for it.
 */
export function namesBeside(database: string, operation: string): { readonly loaded: string; readonly before: string } {
  const suffix = operation.replace(/^.*-/, '').toLowerCase();
  const named = (what: string): string => {
    const end = `__${what}_${suffix}`;
    return `${cut(database, longestName - Buffer.byteLength(end))}${end}`;
  };
  return { loaded: named('restore'), before: named('before') };
}

/**
 * Databases that any restore of one has left beside it: this one, and earlier ones that ended with a person to decide.
 * @throws ApplianceError `restore_failed`
 */
export async function allBeside(server: RestoreServer, database: string, signal: AbortSignal): Promise<string[]> {
  const found = await query(server, database, 'SELECT datname FROM pg_database', signal);
  return found.filter((candidate) => {
    const suffix = /__(?:restore|before)_([0-9a-z]+)$/.exec(candidate)?.[1];
    return suffix !== undefined && Object.values(namesBeside(database, suffix)).includes(candidate);
  });
}

function cut(text: string, bytes: number): string {
  let length = 0;
  let end = 0;
  for (const character of text) {
    length += Buffer.byteLength(character);
    if (length > bytes) break;
    end += character.length;
  }
  return text.slice(0, end);
}

/**
 * Makes an empty database and fills it from a dump in the custom format, its own settings and rights included.
 * @param timeout milliseconds that pg_restore may take
 * @throws ApplianceError `restore_failed` with what pg_restore said; `disk_full`; `timeout`
 */
export async function loadDatabase(
  server: RestoreServer,
  wish: {
    readonly database: string;
    readonly loaded: string;
    /** File with the dump. */
    readonly dump: string;
    readonly timeout: number;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { database, loaded, signal } = wish;
  await dropDatabase(server, database, loaded, signal);
  await statement(
    server,
    database,
    `CREATE DATABASE ${name(loaded)} TEMPLATE template0${await shapeOf(server, database, signal)}`,
    signal,
  );
  const argv = ['pg_restore', '--exit-on-error', '--no-password', '-U', server.user, '-d', loaded];
  const { exitCode, stderr } = await server.execFrom(argv, { file: wish.dump, timeout: wish.timeout, signal });
  if (exitCode !== 0) throw restoreFailed(server, `pg_restore ended with exit status ${exitCode}`, stderr);
  await loadProperties(server, wish);
  // Plans of a database without statistics are slow, and nobody would know why.
  await runIn(server, loaded, 'ANALYZE', wish.timeout, signal);
}

/** Rows of each table of a database, counted as in a snapshot. */
export async function countRows(
  server: RestoreServer,
  database: string,
  signal: AbortSignal,
): Promise<Record<string, number>> {
  const { exitCode, stdout, stderr } = await runIn(server, database, countRowsSql, countTimeout, signal);
  if (exitCode !== 0) throw restoreFailed(server, `the rows of ${database} could not be counted`, stderr);
  return parseRows(stdout);
}

/** Encoding, locale and owner of the database that is to be replaced, where it is still there. */
async function shapeOf(server: RestoreServer, database: string, signal: AbortSignal): Promise<string> {
  const rows = await query(
    server,
    database,
    `SELECT format(' ENCODING %L LC_COLLATE %L LC_CTYPE %L OWNER %I', pg_encoding_to_char(encoding), datcollate, datctype, pg_get_userbyid(datdba)) FROM pg_database WHERE datname = ${literal(database)}`,
    signal,
  );
  return rows[0] ?? '';
}

/** Which of some databases exist. */
async function existing(server: RestoreServer, names: readonly string[], signal: AbortSignal): Promise<Set<string>> {
  const [database = 'postgres'] = names;
  const list = names.map(literal).join(', ');
  return new Set(await query(server, database, `SELECT datname FROM pg_database WHERE datname IN (${list})`, signal));
}

/**
 * Puts the loaded database in the place of the one in use: connections end, then both get their new names in one
 * transaction, so that a crash leaves either the one or the other. Done again, it changes nothing.
 * @throws ApplianceError `restore_failed` when neither the loaded database nor its traces are there
 */
export async function swapDatabase(
  server: RestoreServer,
  database: string,
  { loaded, before }: { readonly loaded: string; readonly before: string },
  signal: AbortSignal,
): Promise<void> {
  const found = await existing(server, [database, loaded, before], signal);
  if (!found.has(loaded)) {
    if (found.has(database)) return open(server, database, signal);
    throw restoreFailed(server, `neither ${database} nor ${loaded} is there`, '');
  }
  await exchange(server, { from: database, aside: found.has(database) ? before : null, next: loaded }, signal);
}

/** Takes `swapDatabase` back, however far it came. */
export async function swapBack(
  server: RestoreServer,
  database: string,
  { loaded, before }: { readonly loaded: string; readonly before: string },
  signal: AbortSignal,
): Promise<void> {
  const found = await existing(server, [database, loaded, before], signal);
  // Cut short before the renames: the database in use may be closed.
  if (!found.has(before)) {
    if (found.has(database)) await open(server, database, signal);
    return;
  }
  const aside = found.has(database) && !found.has(loaded) ? loaded : null;
  await exchange(server, { from: database, aside, next: before }, signal);
}

/** Renames `from` to `aside` and `next` to `from`, or only the latter where there is nothing to put aside. */
async function exchange(
  server: RestoreServer,
  { from, aside, next }: { readonly from: string; readonly aside: string | null; readonly next: string },
  signal: AbortSignal,
): Promise<void> {
  const renames = [
    ...(aside === null ? [] : [`ALTER DATABASE ${name(from)} RENAME TO ${name(aside)}`]),
    `ALTER DATABASE ${name(next)} RENAME TO ${name(from)}`,
  ];
  // One program for all of it: clients have no database meanwhile. Somebody who connects between the end of connections and
  // the rename would make the rename fail, so nobody may.
  const closed = aside === null ? [next] : [from, next];
  const statements = [
    ...closed.map((one) => `ALTER DATABASE ${name(one)} WITH ALLOW_CONNECTIONS false`),
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN (${closed.map(literal).join(', ')})`,
    'SELECT pg_sleep(0.05)',
    `BEGIN; ${renames.join('; ')}; COMMIT`,
    `ALTER DATABASE ${name(from)} WITH ALLOW_CONNECTIONS true`,
  ];
  for (let tries = 1; ; tries += 1) {
    const argv = [...psqlIn(server, maintenanceOf(from)), ...statements.flatMap((sql) => ['-c', sql])];
    const result = await server.exec(argv, { timeout: statementTimeout, signal });
    if (result.exitCode === 0) return;
    // A backend that was told to end may take a moment.
    if (!/is being accessed by other users/.test(result.stderr) || tries >= 20)
      throw restoreFailed(server, `${from} could not be replaced`, result.stderr);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
}

async function open(server: RestoreServer, database: string, signal: AbortSignal): Promise<void> {
  await statement(server, database, `ALTER DATABASE ${name(database)} WITH ALLOW_CONNECTIONS true`, signal);
}

/** Removes a database, whoever is connected to it; nothing happens where there is none. */
export async function dropDatabase(
  server: RestoreServer,
  database: string,
  which: string,
  signal: AbortSignal,
): Promise<void> {
  await statement(server, database, `DROP DATABASE IF EXISTS ${name(which)} WITH (FORCE)`, signal);
}

async function statement(server: RestoreServer, database: string, sql: string, signal: AbortSignal): Promise<void> {
  const { exitCode, stderr } = await run(server, database, sql, statementTimeout, signal);
  if (exitCode !== 0) throw restoreFailed(server, `${sql.split(' ', 2).join(' ')} failed`, stderr);
}

async function query(
  server: RestoreServer,
  database: string,
  sql: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { exitCode, stdout, stderr } = await run(server, database, sql, statementTimeout, signal);
  if (exitCode !== 0) throw restoreFailed(server, `${server.service} does not answer`, stderr);
  return stdout.split('\n').filter((line) => line !== '');
}

/** Runs SQL in a database that is not the one it is about: a connection would hold that one open. */
function run(server: RestoreServer, database: string, sql: string, timeout: number, signal: AbortSignal) {
  return runIn(server, maintenanceOf(database), sql, timeout, signal);
}

const maintenanceOf = (database: string): string => (database === 'postgres' ? 'template1' : 'postgres');

function runIn(server: RestoreServer, database: string, sql: string, timeout: number, signal: AbortSignal) {
  return server.exec([...psqlIn(server, database), '-c', sql], { timeout, signal });
}

const psqlIn = ({ user }: RestoreServer, database: string): string[] => [
  ...['psql', '-X', '-q', '-A', '-t', '-w', '-F', '\t', '-v', 'ON_ERROR_STOP=1'],
  ...['-U', user, '-d', database],
];

const name = (identifier: string): string => `"${identifier.replaceAll('"', '""')}"`;
const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
