import { messageOf } from '../../../lib/errors.ts';
import type { Measurement, MetricReader, Subject, Window } from '../../../lib/measurement.ts';
import { type LineMeaning, meaningOf } from './log-lines.ts';

/** A container whose log is read. */
interface LogSource {
  readonly id: string;
  readonly name: string;
  readonly tty: boolean;
}

export interface LogReaderDeps {
  /** Containers of app services of a release, and with `core` the ones that all releases share. */
  readonly sources: (subject: Subject, core: boolean) => Promise<readonly LogSource[]>;
  /** Lines of a log, each with its RFC 3339 time and a blank before it, from a time in seconds since 1970 on. */
  readonly lines: (source: LogSource, since: number, signal: AbortSignal) => AsyncIterable<string>;
}

const kinds = {
  'log-errors': 'error',
  'log-critical': 'critical',
  'database-failures': 'database',
  'data-corruption': 'corruption',
} as const satisfies Readonly<Record<string, keyof LineMeaning>>;

interface Hit {
  /** Milliseconds since 1970. */
  readonly at: number;
  readonly kind: keyof LineMeaning;
}

interface Known {
  /** Milliseconds since 1970 that have been read, from and until. */
  from: number;
  until: number;
  /** The reading that is under way: rules are judged side by side, and none may count what is half read. */
  reading: Promise<void>;
  /** Time of the newest line, to the nanosecond: the next reading begins there, with that line. */
  newest: string;
  hits: Hit[];
  example: string;
}

/** Hits that are kept for one container, the newest. */
const mostHits = 10_000;
/** Containers that are remembered, the newest. */
const mostSources = 64;

/** Counts what the logs of a release tell. Each line is read once, however often it is asked about. */
export function logReader(deps: LogReaderDeps): MetricReader {
  const known = new Map<string, Known>();
  return async (metric, subject, window, signal): Promise<Measurement> => {
    const kind = kinds[metric as keyof typeof kinds];
    if (kind === undefined) return { kind: 'none', why: `${metric} is not read from logs` };
    try {
      const sources = await deps.sources(subject, kind === 'corruption');
      if (sources.length === 0) return { kind: 'none', why: `no container of ${subject.tag} has a log` };
      const read = await Promise.all(sources.map((source) => update(deps, known, source, window, signal)));
      const hits = read.flatMap(({ hits: all }) => all.filter((hit) => hit.kind === kind && within(hit.at, window)));
      const example = read.find(({ hits: all }) => all.some((hit) => hit.kind === kind))?.example ?? '';
      return { kind: 'events', count: hits.length, about: about(hits.length, sources.length, example) };
    } catch (error) {
      signal.throwIfAborted();
      return { kind: 'none', why: `the logs could not be read: ${messageOf(error)}` };
    }
  };
}

function about(count: number, sources: number, example: string): string {
  const where = `in ${sources} ${sources === 1 ? 'log' : 'logs'}`;
  return count === 0 ? `none ${where}` : `${count} ${where}, the last: ${example.slice(0, 160)}`;
}

async function update(
  deps: LogReaderDeps,
  known: Map<string, Known>,
  source: LogSource,
  window: Window,
  signal: AbortSignal,
): Promise<Known> {
  const state = known.get(source.id) ?? nothingRead();
  known.delete(source.id);
  known.set(source.id, state);
  for (const id of known.keys()) if (known.size > mostSources) known.delete(id);
  const before = state.reading;
  const reading = before.then(() => readMore(deps, state, source, window, signal));
  // The next one may try again where this one failed.
  state.reading = reading.catch(() => undefined);
  await reading;
  return state;
}

function nothingRead(): Known {
  return { from: 0, until: 0, reading: Promise.resolve(), newest: '', hits: [], example: '' };
}

async function readMore(
  { lines }: LogReaderDeps,
  state: Known,
  source: LogSource,
  window: Window,
  signal: AbortSignal,
): Promise<void> {
  if (state.until === 0 || state.from > window.from)
    Object.assign(state, { from: window.from, until: window.from, newest: '', hits: [] });
  if (state.until >= window.to) return;
  const { newest } = state;
  const since = newest === '' ? window.from : Date.parse(newest);
  for await (const line of lines(source, since / 1_000, signal)) take(state, line, newest);
  state.until = window.to;
}

/** @param before time of the newest line of the reading before: the engine sends the lines of that instant again */
function take(state: Known, line: string, before: string): void {
  const blank = line.indexOf(' ');
  const time = line.slice(0, blank);
  const at = Date.parse(time);
  if (Number.isNaN(at) || time <= before) return;
  if (time > state.newest) state.newest = time;
  const text = line.slice(blank + 1);
  const meaning = meaningOf(text);
  for (const kind of Object.values(kinds)) {
    if (!meaning[kind]) continue;
    state.hits.push({ at, kind });
    state.example = text;
  }
  if (state.hits.length > 2 * mostHits) state.hits = state.hits.slice(-mostHits);
}

function within(at: number, { from, to }: Window): boolean {
  return at >= from && at < to;
}
