/** How urgent a line is. */
export type Level = 'error' | 'warning' | 'info' | 'debug' | undefined;

const levels: readonly (readonly [Exclude<Level, undefined>, RegExp])[] = [
  ['error', /^(?:err|error|fatal|crit|critical|alert|emerg|panic|severe)$/i],
  ['warning', /^(?:warn|warning)$/i],
  ['debug', /^(?:debug|trace|verbose)$/i],
  ['info', /^(?:info|notice|log)$/i],
];
/** How far into a line its level is looked for. */
const near = 200;
// A level of its own field, as `"level":"error"` and `level=error`, else a word in capitals or in brackets.
const field = /"?\b(?:level|lvl|severity|loglevel)"?\s*[:=]\s*"?([a-z]+|\d+)/i;
const word =
  /(?<![\w-])(ERROR|FATAL|CRITICAL|CRIT|EMERG|PANIC|SEVERE|WARN|WARNING|INFO|NOTICE|DEBUG|TRACE)(?![\w-])|[[<](error|crit|emerg|alert|warn|warning|notice|info|debug)[\]>]/;
/** pino and bunyan count: 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal. */
const numbered = (value: number): Level =>
  value >= 50 ? 'error' : value >= 40 ? 'warning' : value >= 30 ? 'info' : 'debug';

/** The level that a line names itself by. */
export function levelOf(text: string): Level {
  const begin = text.slice(0, near);
  const named = field.exec(begin)?.[1];
  if (named !== undefined) {
    if (/^\d+$/.test(named)) return numbered(Number(named));
    const known = levels.find(([, pattern]) => pattern.test(named))?.[0];
    if (known) return known;
  }
  const match = word.exec(begin);
  const found = match?.[1] ?? match?.[2];
  return found === undefined ? undefined : levels.find(([, pattern]) => pattern.test(found))?.[0];
}

const messageKeys = ['msg', 'message', 'event', 'text'];
const leftOut = new Set(['level', 'lvl', 'severity', 'time', 'timestamp', 'ts', '@timestamp', 'v', 'pid', 'hostname']);
/** What is the same on many lines, or means something to machines alone, comes last: lines are cut at their end. */
const last = /^(?:logger|name|release|service|commit|host|thread|(?:request|trace|span|correlation)[_-]?id)$/i;

/** A line of JSON as a person reads it: the message, then the other fields as `key=value`; other lines as they are. */
export function readable(text: string): string {
  if (!text.startsWith('{') || !text.endsWith('}')) return text;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return text;
  }
  if (typeof parsed !== 'object' || parsed === null) return text;
  const fields = new Map(Object.entries(parsed));
  const key = messageKeys.find((name) => typeof fields.get(name) === 'string');
  const level = fields.get('level') ?? fields.get('severity') ?? fields.get('lvl');
  const others = [...fields].filter(([name]) => name !== key && !leftOut.has(name));
  const rest = [...others.filter(([name]) => !last.test(name)), ...others.filter(([name]) => last.test(name))];
  return [
    ...(typeof level === 'string' ? [level.toUpperCase()] : []),
    ...(key === undefined ? [] : [String(fields.get(key))]),
    ...rest.map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`),
  ].join(' ');
}
