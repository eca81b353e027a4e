import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { ApplianceError, messageOf, systemCode } from '../lib/errors.ts';
import { formatBytes } from '../lib/units.ts';

/** Longest line, in bytes: the kernel takes no longer single string in an environment (execve(2), MAX_ARG_STRLEN). */
const maxLine = 128 * 1024;

/** The environment file of an appliance. Values are private: they never stand in an error, a log or an answer. */
export interface Environment {
  /** The content with line ends as Compose expects them; undefined when no file is configured. */
  readonly text: string | undefined;
  readonly values: Readonly<Record<string, string>>;
  /** SHA-256 of what the file says, whatever its comments, blanks and line ends. */
  readonly sha256: string;
}

/**
 * Reads the environment file.
 * @param path `source.envFile`; without one the environment is empty
 * @throws ApplianceError `config_missing` when there is none; `config_invalid` when others may read it, or with the line
 *   of a mistake
 */
export async function readEnvironment(path: string | undefined): Promise<Environment> {
  if (path === undefined) return { ...parseEnvironment('', ''), text: undefined };
  let bytes: Buffer;
  try {
    const { mode } = await stat(path);
    if ((mode & 0o077) !== 0) {
      throw new ApplianceError(
        'config_invalid',
        `${path} has mode ${(mode & 0o777).toString(8)}: others on this host can reach the secrets in it`,
        { left: 'nothing was touched', hint: `chmod 600 ${path}` },
      );
    }
    bytes = await readFile(path);
  } catch (error) {
    if (error instanceof ApplianceError) throw error;
    const missing = systemCode(error) === 'ENOENT';
    throw new ApplianceError(
      missing ? 'config_missing' : 'config_invalid',
      missing ? `there is no environment file ${path}` : `${path} cannot be read: ${messageOf(error)}`,
      { left: 'nothing was touched', hint: 'source.envFile in appliance.yaml names it' },
    );
  }
  return parseEnvironment(bytes.toString('utf8'), path);
}

/**
 * Parses an environment file as Compose does: `KEY=value`, `export`, comments, single quotes (literal) and double
 * quotes (with escapes), both of which may go over several lines.
 * @param path for messages
 * @throws ApplianceError `config_invalid` with the line, never with its content
 */
export function parseEnvironment(content: string, path: string): Environment {
  const text = content.replace(/^\uFEFF/, '').replaceAll('\r\n', '\n');
  const lines = text.split('\n');
  const fail = (index: number, why: string): never => {
    throw new ApplianceError('config_invalid', `${path}:${index + 1}: ${why}`, { left: 'nothing was touched' });
  };
  const tooLong = lines.findIndex((line) => Buffer.byteLength(line) > maxLine);
  if (tooLong >= 0) {
    const size = formatBytes(Buffer.byteLength(lines[tooLong] ?? ''));
    fail(tooLong, `the line is ${size} long; the kernel takes ${formatBytes(maxLine)} at most`);
  }
  const values = new Map<string, string>();
  const firstLine = new Map<string, number>();
  for (let index = 0; index < lines.length; index += 1) {
    const line = lines[index] ?? '';
    if (/^\s*(?:#.*)?$/.test(line)) continue;
    const match = /^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=[ \t]*(.*)$/.exec(line);
    const [, key = '', rest = ''] = match ?? fail(index, 'write KEY=value');
    if (text.includes('\0')) fail(index, 'the file holds a NUL byte');
    const earlier = firstLine.get(key);
    if (earlier !== undefined) fail(index, `${key} stands on line ${earlier + 1} already`);
    firstLine.set(key, index);
    const quote = rest[0];
    if (quote !== '"' && quote !== "'") {
      values.set(key, rest.replace(/(?:^|\s)#.*$/, '').trim());
      continue;
    }
    let raw = rest.slice(1);
    let end = closing(raw, quote);
    const start = index;
    while (end < 0) {
      index += 1;
      if (index >= lines.length) fail(start, `the quote of ${key} is never closed`);
      raw += `\n${lines[index] ?? ''}`;
      end = closing(raw, quote);
    }
    if (!/^\s*(?:#.*)?$/.test(raw.slice(end + 1))) fail(index, `there is text after the closing quote of ${key}`);
    values.set(key, quote === "'" ? raw.slice(0, end) : unescapeQuoted(raw.slice(0, end)));
  }
  const entries = [...values];
  // In the order of the file, because a later value may use an earlier one.
  const sha256 = createHash('sha256').update(JSON.stringify(entries)).digest('hex');
  return { text, values: Object.fromEntries(entries), sha256 };
}

/** Index of the quote that ends a value, or -1. */
function closing(raw: string, quote: string): number {
  for (let index = 0; index < raw.length; index += 1) {
    if (quote === '"' && raw[index] === '\\') index += 1;
    else if (raw[index] === quote) return index;
  }
  return -1;
}

const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t' };

function unescapeQuoted(raw: string): string {
  return raw.replace(/\\([\s\S])/g, (_, character: string) => escapes[character] ?? character);
}

/** Keys whose values are secret however short they are. */
const secretKey = /PASS|SECRET|TOKEN|KEY|CREDENTIAL|PRIVATE|DSN|URL|AUTH/i;
/** Characters from which on a value is taken for a secret whatever its key. Shorter ones are ordinary words. */
const longValue = 16;

/** The values that no message may show. Ordinary words, such as the name of a database user, would only garble it. */
export function secretValues(values: Readonly<Record<string, string>>): string[] {
  return Object.entries(values)
    .filter(([key, value]) => value !== '' && (secretKey.test(key) || value.length >= longValue))
    .map(([, value]) => value);
}
