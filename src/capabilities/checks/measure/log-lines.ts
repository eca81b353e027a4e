/** What a line of a log tells of how the application does. */
export interface LineMeaning {
  readonly error: boolean;
  readonly critical: boolean;
  /** A connection to a database that could not be made or was lost. */
  readonly database: boolean;
  /** Damage that a database or an application has found in its data. */
  readonly corruption: boolean;
}

/** Most of a line that is looked at, in characters: a stack trace has said what it is by then. */
const longest = 4_000;
/** Where a line of plain text has its level. */
const head = 200;

const errorWord = /\b(?:ERROR|CRITICAL|FATAL|PANIC|EMERG)\b/;
const criticalWord = /\b(?:CRITICAL|FATAL|PANIC|EMERG)\b/;
/** The words of PostgreSQL, its drivers (libpq, psycopg, pg), SQLAlchemy and MySQL. */
const database =
  /could not connect to (?:the )?(?:server|database)|connection to server .* failed|server closed the connection unexpectedly|OperationalError|too many (?:clients|connections)|remaining connection slots|database (?:is )?(?:unreachable|unavailable)|lost connection to (?:the )?(?:server|database|MySQL)|(?:ECONNREFUSED|ECONNRESET)\b.*\b(?:5432|3306)\b|(?:couldn't get|error getting) a connection/i;
/** The words of PostgreSQL, SQLite and common applications. */
const corruption =
  /invalid page in block|could not read block|page verification failed|unexpected zero page|database disk image is malformed|data corruption|checksum (?:mismatch|verification failed)|(?:index|table|page|database|record|file) (?:is|are) corrupt|corrupted (?:page|index|table|data|database|record)/i;

/** Reads one line, JSON or plain text. Pure. */
export function meaningOf(line: string): LineMeaning {
  const text = line.slice(0, longest);
  const level = levelOf(text);
  return {
    error: level !== 'other',
    critical: level === 'critical',
    database: level !== 'other' && database.test(text),
    corruption: corruption.test(text),
  };
}

function levelOf(text: string): 'critical' | 'error' | 'other' {
  const told = jsonLevel(text);
  if (typeof told === 'number') return told >= 60 ? 'critical' : told >= 50 ? 'error' : 'other';
  const words = told === undefined ? text.slice(0, head) : told.toUpperCase();
  if (criticalWord.test(words)) return 'critical';
  return errorWord.test(words) ? 'error' : 'other';
}

/** The level of a JSON line: a word, or a number as pino writes it (50 error, 60 fatal). */
function jsonLevel(text: string): string | number | undefined {
  if (!text.startsWith('{')) return undefined;
  const found = /"(?:level|levelname|severity|lvl)"\s*:\s*(?:"([^"]{1,20})"|(\d{1,3})\b)/.exec(text);
  if (!found) return undefined;
  return found[1] ?? Number(found[2]);
}
