import type { LogLine } from '../api/schema.ts';
import type { ContainerDetail, Engine } from '../host/docker.ts';
import type { Clock } from '../lib/clock.ts';
import { ApplianceError } from '../lib/errors.ts';
import { didYouMean } from '../lib/near.ts';
import { durationPattern, parseDuration } from '../lib/units.ts';
import { colourOf, serviceName } from './containers.ts';

export interface LogWish {
  readonly services: readonly string[];
  readonly follow: boolean;
  readonly since?: string | undefined;
  readonly tail?: number | undefined;
}

/** How often new containers are looked for while following, in milliseconds. Their list is in memory. */
const lookPeriod = 500;
/** How long after its end a log is opened again, if its container still runs, in milliseconds. */
const reopenPeriod = 2_000;
/** Lines that may wait for a slow reader before the sources are paused. */
const longestQueue = 5_000;

/**
 * The logs of services, merged. A service is named as in the Compose file (`backend`) or as one replica (`backend-1`).
 * Without `follow` lines come in the order of their time; with it as they come.
 * @throws ApplianceError `service_not_found` with near matches; `usage` when `since` is not understood
 */
export async function* logLines(
  wish: LogWish,
  deps: { readonly engine: Engine; readonly clock: Clock; readonly details: () => readonly ContainerDetail[] },
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const since = parseSince(wish.since, deps.clock.now());
  const wanted = (): ContainerDetail[] => deps.details().filter((container) => matches(container, wish.services));
  assertKnown(wish.services, deps.details());
  const options = {
    ...(since === undefined ? {} : { since }),
    ...(wish.tail === undefined ? {} : { tail: wish.tail }),
    signal,
  };
  if (!wish.follow) {
    yield* merged(wanted().map((container) => linesOf(container, deps.engine, { ...options, follow: false })));
    return;
  }
  yield* followAll(
    {
      wanted,
      open: (container, from) =>
        linesOf(container, deps.engine, {
          ...(from === undefined ? options : { since: Date.parse(from) / 1_000, signal }),
          follow: true,
        }),
      clock: deps.clock,
    },
    signal,
  );
}

function matches(container: ContainerDetail, services: readonly string[]): boolean {
  if (services.length === 0) return true;
  return services.includes(serviceName(container)) || services.includes(container.labels['appliance.service'] ?? '');
}

function assertKnown(services: readonly string[], containers: readonly ContainerDetail[]): void {
  const known = new Set(
    containers.flatMap((container) => [
      serviceName(container),
      container.labels['appliance.service'] ?? serviceName(container),
    ]),
  );
  const unknown = services.find((service) => !known.has(service));
  if (unknown === undefined) return;
  throw new ApplianceError('service_not_found', `there is no service ${unknown}`, {
    hint:
      didYouMean(unknown, known) ??
      (known.size > 0 ? `there are ${[...known].sort().join(', ')}` : 'nothing is running'),
  });
}

/** @returns seconds since 1970 */
function parseSince(text: string | undefined, now: number): number | undefined {
  if (text === undefined) return undefined;
  if (durationPattern.test(text)) return (now - parseDuration(text)) / 1_000;
  const time = Date.parse(text);
  if (Number.isNaN(time))
    throw new ApplianceError('usage', `"${text}" is neither a duration (10m) nor a time (2030-01-31T12:00:00Z)`);
  return time / 1_000;
}

async function* linesOf(
  container: ContainerDetail,
  engine: Engine,
  options: { readonly follow: boolean; readonly since?: number; readonly tail?: number; readonly signal: AbortSignal },
): AsyncGenerator<LogLine> {
  const about = { service: serviceName(container), colour: colourOf(container) };
  // A line longer than 16 KiB comes in pieces; the last piece ends with a newline.
  const rest = { stdout: '', stderr: '' };
  for await (const { stream, text } of engine.logs(container, options)) {
    const parts = (rest[stream] + text).split('\n');
    rest[stream] = parts.pop() ?? '';
    for (const part of parts) {
      const space = part.indexOf(' ');
      yield { time: part.slice(0, space), ...about, stream, text: part.slice(space + 1).replace(/\r$/, '') };
    }
  }
}

/** Logs, each in the order of its time, as one. Only the next line of each is held: together they may be gigabytes. */
async function* merged(sources: readonly AsyncGenerator<LogLine>[]): AsyncGenerator<LogLine> {
  const next = async (source: AsyncGenerator<LogLine>) => {
    const { done, value } = await source.next();
    return done ? [] : [{ line: value, source }];
  };
  try {
    const heads = (await Promise.all(sources.map(next))).flat();
    while (heads.length > 0) {
      const first = heads.reduce((one, other) => ((other.line.time ?? '') < (one.line.time ?? '') ? other : one));
      yield first.line;
      heads.splice(heads.indexOf(first), 1, ...(await next(first.source)));
    }
  } finally {
    await Promise.all(sources.map((source) => source.return(undefined)));
  }
}

interface Followed {
  readonly wanted: () => readonly ContainerDetail[];
  /** @param from only lines of that moment and later (RFC 3339); undefined: what was wished */
  readonly open: (container: ContainerDetail, from: string | undefined) => AsyncGenerator<LogLine>;
  readonly clock: Clock;
}

/**
 * Merges the logs of all wanted containers, those that start later included; each goes on behind its last line when its
 * stream breaks, as it does when the engine starts anew. A slow reader slows the sources down.
 */
async function* followAll({ wanted, open, clock }: Followed, signal: AbortSignal): AsyncGenerator<LogLine> {
  const queue: LogLine[] = [];
  /** Container → the start of it that is followed. */
  const followed = new Map<string, string>();
  /** Container → time of the last line that was read. */
  const last = new Map<string, string>();
  let wake: () => void = () => undefined;
  // Every source that waits for room, not only the last one.
  let waiting: (() => void)[] = [];
  const room = (): void => {
    const all = waiting;
    waiting = [];
    for (const resume of all) resume();
  };
  const pump = async (container: ContainerDetail, from: string | undefined): Promise<void> => {
    const known = last.get(container.id) ?? '';
    for await (const line of open(container, from)) {
      const time = line.time ?? '';
      // The engine counts what is of that very moment as later.
      if (time !== '' && time <= known) continue;
      if (time !== '') last.set(container.id, time);
      queue.push(line);
      wake();
      if (queue.length >= longestQueue && !signal.aborted)
        await new Promise<void>((resolve) => {
          waiting.push(resolve);
        });
    }
  };
  const follow = async (container: ContainerDetail, from: string | undefined): Promise<void> => {
    // A dead engine is seen by the watch.
    await pump(container, from).catch(() => undefined);
    await clock.sleep(reopenPeriod, signal);
    if (followed.get(container.id) === container.startedAt) followed.delete(container.id);
  };
  const attach = (fresh: boolean): void => {
    for (const container of wanted()) {
      const { id, running, startedAt } = container;
      if (!running || followed.get(id) === startedAt) continue;
      followed.set(id, startedAt);
      // Rejects when nobody listens any more.
      follow(container, last.get(id) ?? (fresh ? startedAt : undefined)).catch(() => undefined);
    }
  };
  attach(false);
  const looking = setInterval(() => attach(true), lookPeriod);
  const stop = (): void => {
    wake();
    room();
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    while (!signal.aborted) {
      const line = queue.shift();
      if (line) {
        if (queue.length === 0) room();
        yield line;
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    }
  } finally {
    clearInterval(looking);
    signal.removeEventListener('abort', stop);
  }
}
