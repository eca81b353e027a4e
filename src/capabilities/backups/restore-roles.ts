import { Readable } from 'node:stream';
import { type RestoreServer, restoreFailed } from './restore-server.ts';

/** Milliseconds for all accounts. */
const timeout = 120_000;

/**
 * Makes the accounts of a snapshot that a server does not have. Without them pg_restore fails at the first object that
 * belongs to one. Those that are there keep their passwords and rights: applications log in with what they know today.
 * Done again, it changes nothing.
 * @param sql what `pg_dumpall --globals-only` has written
 * @returns names of the accounts that were made
 * @throws ApplianceError `restore_failed`
 */
export async function loadRoles(server: RestoreServer, sql: string, signal: AbortSignal): Promise<string[]> {
  const psql = ['psql', '-X', '-q', '-A', '-t', '-w', '-v', 'ON_ERROR_STOP=1', '-U', server.user, '-d', 'postgres'];
  const asked = await server.exec([...psql, '-c', 'SELECT quote_ident(rolname) FROM pg_roles'], { timeout, signal });
  if (asked.exitCode !== 0) throw restoreFailed(server, 'its accounts could not be listed', asked.stderr);
  const { statements, made } = missingRoles(sql, new Set(asked.stdout.split('\n').map((line) => line.trim())));
  if (statements.length === 0) return [];
  // By standard input, because passwords stand in it; terse, so that none of them is repeated in an error.
  const argv = [...psql, '-v', 'VERBOSITY=terse', '--single-transaction', '-f', '-'];
  const stdin = Readable.from([`${statements.join('\n')}\n`]);
  const { exitCode, stderr } = await server.exec(argv, { stdin, timeout, signal });
  if (exitCode !== 0) throw restoreFailed(server, 'the accounts of the snapshot could not be made', stderr);
  return made;
}

/** An identifier as PostgreSQL writes it, as a group of a regular expression. */
export const identifier = `("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)`;
const about = [
  new RegExp(`^CREATE ROLE ${identifier};$`),
  new RegExp(`^ALTER ROLE ${identifier} (?:WITH|SET) `),
  new RegExp(`^COMMENT ON ROLE ${identifier} IS `),
];
const membership = new RegExp(`^GRANT ${identifier} TO ${identifier}[ ;]`);

/**
 * The statements that make the accounts which are not there, with their memberships. Tablespaces and everything else of the
 * server are left out: they belong to its machine. Pure.
 * @param existing names as `quote_ident` writes them
 */
export function missingRoles(
  sql: string,
  existing: ReadonlySet<string>,
): { readonly statements: string[]; readonly made: string[] } {
  const made = new Set<string>();
  const all = statementsOf(sql);
  for (const statement of all) {
    const created = about[0]?.exec(statement)?.[1];
    if (created !== undefined && !existing.has(created)) made.add(created);
  }
  const statements = all.filter((statement) => {
    const [, role, member] = membership.exec(statement) ?? [];
    if (role !== undefined && member !== undefined) return made.has(role) || made.has(member);
    return about.some((pattern) => made.has(pattern.exec(statement)?.[1] ?? ''));
  });
  return { statements, made: [...made] };
}

/** Statements of a dump, without comments and without commands of psql. Texts may go over several lines. */
export function statementsOf(sql: string): string[] {
  const statements: string[] = [];
  let open = '';
  for (const line of sql.split('\n')) {
    if (open === '' && /^(?:--|\\|\s*$)/.test(line)) continue;
    open = open === '' ? line : `${open}\n${line}`;
    if (!isWhole(open)) continue;
    statements.push(open);
    open = '';
  }
  return statements;
}

/** Whether a text ends with a semicolon that stands in no quotes. A quote inside of quotes is written twice. */
function isWhole(text: string): boolean {
  if (!text.endsWith(';')) return false;
  const rest = text.replaceAll(/E'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*"/gs, '');
  return !rest.includes("'") && !rest.includes('"');
}
