import { type LogSign, type LogSignKind, logSignKinds } from './evidence.ts';

/** What a line of a log speaks of; the first kind that fits counts. */
const kinds: Readonly<Record<LogSignKind, RegExp>> = {
  database:
    /could not connect to server|connection to server at .* failed|(?:psycopg|asyncpg|sqlalchemy|postgres(?:ql)?|database|pyodbc)[^\n]*(?:refused|unreachable|timed? ?out|unavailable|does not answer|failed to connect|terminat)|too many (?:connections|clients)|remaining connection slots|the database system is (?:starting up|shutting down)|FATAL: {1,2}(?:password authentication|database)/i,
  memory: /out of memory|MemoryError|OOM|Cannot allocate memory|heap out of memory|CUDA error: out of memory/,
  disk: /no space left on device|ENOSPC|disk(?: is)? full|disk_full|database or disk is full/i,
  permission: /permission denied|EACCES|read-only file system|EROFS|Operation not permitted/i,
  environment:
    /(?:missing|unset|undefined|required|invalid)[^\n]{0,40}(?:environment|env(?:ironment)? variable|setting)|KeyError: '[A-Z_]{3,}'|environment variable [^\n]{0,60}(?:not set|missing|required)|SettingsError/i,
  name: /name or service not known|Temporary failure in name resolution|getaddrinfo|ENOTFOUND|EAI_AGAIN|could not resolve host|nodename nor servname/i,
  connection:
    /connection (?:refused|reset|timed out)|ECONNREFUSED|ECONNRESET|ETIMEDOUT|connect timeout|upstream timed out/i,
  error: /\b(?:ERROR|CRITICAL|FATAL|PANIC|Traceback|Unhandled)\b|"level":"?(?:error|critical|fatal|50|60)/,
};

/** Longest line that is quoted, in characters. */
const longest = 200;

/**
 * What the lines of a log speak of, the most telling kinds first. Pure.
 * @param clean takes secrets out of what is quoted
 */
export function logSigns(lines: readonly string[], clean: (text: string) => string): LogSign[] {
  const found = new Map<LogSignKind, { count: number; last: string }>();
  for (const line of lines) {
    const kind = logSignKinds.find((one) => kinds[one].test(line));
    if (kind === undefined) continue;
    found.set(kind, { count: (found.get(kind)?.count ?? 0) + 1, last: line });
  }
  return logSignKinds.flatMap((kind) => {
    const sign = found.get(kind);
    if (!sign) return [];
    const text = clean(sign.last).trim();
    return [{ kind, count: sign.count, last: text.length > longest ? `${text.slice(0, longest)}…` : text }];
  });
}
