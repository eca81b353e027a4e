import { createReadStream } from 'node:fs';
import { Readable, Writable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { identifier, statementsOf } from './restore-roles.ts';
import { type RestoreServer, restoreFailed } from './restore-server.ts';

/** Milliseconds for all of it: the head of a dump is read, and a few statements run. */
const timeout = 120_000;

/** Entries of a dump about the database itself (`pg_restore --create --list`). */
const aboutDatabase = /^\d+; \d+ \d+ (?:DATABASE|DATABASE PROPERTIES|(?:ACL|COMMENT) - DATABASE) /;

/** Runs where the dump comes from standard input; `$1` says which entries. */
const script = `umask 077; list=$(mktemp) || exit; printf '%s' "$1" >"$list"
pg_restore --create --use-list="$list" --file=-; status=$?; rm -f "$list"; exit "$status"`;

/**
 * Gives a loaded database what pg_restore leaves out unless it makes the database itself: owner, settings, rights to connect
 * and comment (postgresql.org/docs/current/app-pgrestore.html, `--create`).
 * @param dump file in the custom format
 * @throws ApplianceError `restore_failed`
 */
export async function loadProperties(
  server: RestoreServer,
  { loaded, dump, signal }: { readonly loaded: string; readonly dump: string; readonly signal: AbortSignal },
): Promise<void> {
  const list = new Kept((line) => aboutDatabase.test(line));
  const listed = await server.exec(['pg_restore', '--create', '--list'], {
    stdin: createReadStream(dump),
    stdout: list,
    timeout,
    signal,
  });
  if (listed.exitCode !== 0) throw restoreFailed(server, 'the contents of the dump cannot be listed', listed.stderr);
  const text = new Kept(() => true);
  const written = await server.exec(['sh', '-c', script, 'sh', `${list.lines.join('\n')}\n`], {
    stdin: createReadStream(dump),
    stdout: text,
    timeout,
    signal,
  });
  if (written.exitCode !== 0)
    throw restoreFailed(server, 'the settings of the database cannot be read', written.stderr);
  const statements = propertiesOf(text.lines.join('\n'), loaded);
  if (statements.length === 0) return;
  const psql = ['psql', '-X', '-q', '-w', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=terse', '--single-transaction'];
  const stdin = Readable.from([`${statements.join('\n')}\n`]);
  const done = await server.exec([...psql, '-U', server.user, '-d', 'template1', '-f', '-'], {
    stdin,
    timeout,
    signal,
  });
  if (done.exitCode !== 0) throw restoreFailed(server, `the settings of ${loaded} could not be made`, done.stderr);
}

const before = [
  new RegExp(`^(ALTER DATABASE )${identifier}( (?:OWNER TO |SET (?!TABLESPACE )|CONNECTION LIMIT )[^]*)$`),
  new RegExp(`^(ALTER ROLE ${identifier} IN DATABASE )${identifier}( SET [^]*)$`),
  new RegExp(`^(COMMENT ON DATABASE )${identifier}( IS [^]*)$`),
  new RegExp(`^((?:GRANT|REVOKE) [A-Z, ]+ ON DATABASE )${identifier}( (?:TO|FROM) [^]*)$`),
];

/**
 * The statements of a dump about its database, for one of another name. The tablespace is left out: it belongs to a machine;
 * and that it is a template, because nobody could remove it then. Pure.
 */
export function propertiesOf(sql: string, loaded: string): string[] {
  const name = `"${loaded.replaceAll('"', '""')}"`;
  return statementsOf(sql).flatMap((statement) => {
    for (const pattern of before) {
      const found = pattern.exec(statement);
      // The last two groups are the name and what follows it.
      if (found) return [`${found[1]}${name}${found.at(-1)}`];
    }
    return [];
  });
}

/** Keeps lines, of any number of them. */
class Kept extends Writable {
  readonly lines: string[] = [];
  readonly #wanted: (line: string) => boolean;
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';

  constructor(wanted: (line: string) => boolean) {
    super();
    this.#wanted = wanted;
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    const lines = `${this.#rest}${this.#decoder.write(chunk)}`.split('\n');
    this.#rest = lines.pop() ?? '';
    this.lines.push(...lines.filter(this.#wanted));
    done();
  }
}
