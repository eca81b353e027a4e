import { z } from 'zod';
import type { Colour } from '../../lib/colour.ts';
import type { DrainReport, DrainWish, OpenRequest } from '../../lib/drain.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { oneLine, truncate } from '../../lib/text.ts';
import { formatDuration } from '../../lib/units.ts';
import type { StepContext } from '../../operations/step.ts';
import { openConnections } from './connections.ts';
import type { TrafficParts } from './deps.ts';
import { LogFollower } from './log-follower.ts';
import { currentWeights } from './weights.ts';

/** Milliseconds between two looks at the connections. */
const pause = 500;
/**
 * Milliseconds within which the access log names a request that was cut: nginx may try another replica first, which takes
 * up to five seconds, and keeps lines for one.
 */
const longestWait = 8_000;
/** Columns of a path that are told. */
const longestPath = 200;
/** Requests that are reported by name. */
const mostNamed = 100;

/**
 * Lets a colour finish what it is answering, then stops it. Where it gets no new requests, its containers are not even
 * told before the last connection from the edge has closed or the limit is over: many an application drops what it is
 * doing when it is told to end. Idle connections of the edge close by themselves after a second (routes.ts). A colour
 * that still gets requests, because the other cannot run beside it, is told at once, so that no new ones come in.
 * @returns who was still connected at the end
 * @throws what `stop` throws. An edge that cannot be asked costs the report, never the time: `open` is null then
 */
export async function drain(parts: TrafficParts, wish: DrainWish, context: StepContext): Promise<DrainReport> {
  const { clock } = parts;
  const { colour, limit } = wish;
  const log = new LogFollower(parts.files.accessLog, 0);
  const began = clock.monotonic();
  const left = () => Math.max(0, limit - (clock.monotonic() - began));
  const serving = (await weightOf(parts, colour)) > 0;
  const stopping = serving ? ended(wish.stop(limit)) : undefined;
  try {
    let open = await look(parts, wish, context);
    while (open !== null && open > 0 && left() > 0 && stopping?.done() !== true) {
      context.progress(`${counted(open)} still open on ${colour}, for at most ${formatDuration(left())} more`);
      await clock.sleep(Math.min(pause, left()), context.signal);
      open = await look(parts, wish, context);
    }
    const seconds = (clock.monotonic() - began) / 1_000;
    const at = clock.now();
    // What has been written so far is of requests that have ended.
    if (open) await log.poll((text) => text.lastIndexOf('\n') + 1, clock.monotonic());
    await (stopping?.promise ?? wish.stop(left()));
    const requests = open ? await whoWas(parts, log, { colour, at, open }, context) : [];
    return { colour, seconds, limitSeconds: limit / 1_000, open, requests };
  } finally {
    await log.close();
  }
}

function counted(open: number): string {
  return open === 1 ? '1 connection is' : `${open} connections are`;
}

/** Share of new requests that a colour gets; all of them where nobody knows. */
async function weightOf(parts: TrafficParts, colour: Colour): Promise<number> {
  try {
    return (await currentWeights(parts))?.[colour] ?? 0;
  } catch {
    return 100;
  }
}

/** @returns connections of the edge to a colour, or 1 where a client still sends what one will be opened for */
async function look(
  { exec, control }: TrafficParts,
  { colour, addresses }: DrainWish,
  { signal }: StepContext,
): Promise<number | null> {
  try {
    const open = await openConnections(exec, addresses, signal);
    if (open > 0) return open;
    const uploading = await control.uploading(colour, signal).catch(() => {
      signal.throwIfAborted();
      // An edge that does not answer takes nothing in.
      return false;
    });
    return uploading ? 1 : 0;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ApplianceError && error.code !== 'engine_unreachable') return null;
    throw error;
  }
}

function ended(promise: Promise<void>): { readonly promise: Promise<void>; readonly done: () => boolean } {
  let over = false;
  const tell = (): void => {
    over = true;
  };
  promise.then(tell, tell);
  return { promise, done: () => over };
}

/** The fields of a line of the access log (log-format.ts) that say whose request it was. */
const line = z.object({
  time: z.string(),
  client: z.string(),
  method: z.string(),
  uri: z.string(),
  seconds: z.number(),
  colour: z.string(),
});

/** The requests of a colour that began before a time and ended after it, from the lines that nginx writes when they end. */
async function whoWas(
  { clock }: TrafficParts,
  log: LogFollower,
  { colour, at, open }: { colour: Colour; at: number; open: number },
  { signal }: StepContext,
): Promise<OpenRequest[]> {
  const found: (OpenRequest & { readonly end: number })[] = [];
  const take = (text: string): number => {
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    for (const each of whole.split('\n')) {
      const request = requestOf(each, colour);
      // Ends are written by the second.
      const spans = request && request.end >= Math.floor(at / 1_000) * 1_000;
      if (request && spans && request.end - request.seconds * 1_000 <= at) found.push(request);
    }
    return whole.length;
  };
  const until = clock.monotonic() + longestWait;
  for (;;) {
    await log.poll(take, clock.monotonic(), signal);
    if (found.length >= open || clock.monotonic() >= until) break;
    await clock.sleep(250, signal);
  }
  // One that ended within the same second, but before the end of the drain, gives way to the later ones.
  return found
    .sort((a, b) => b.end - a.end)
    .slice(0, open)
    .sort((a, b) => b.seconds - a.seconds)
    .slice(0, mostNamed)
    .map(({ client, method, path, seconds }) => ({ client, method, path, seconds }));
}

function requestOf(text: string, colour: Colour): (OpenRequest & { readonly end: number }) | undefined {
  if (!text.includes(`"colour":"${colour}"`)) return undefined;
  try {
    const { time, client, method, uri, seconds } = line.parse(JSON.parse(Buffer.from(text, 'latin1').toString('utf8')));
    // What a client has sent may hold anything, and is shown on terminals.
    return {
      client,
      method: oneLine(method),
      path: truncate(oneLine(uri), longestPath),
      seconds,
      end: Date.parse(time),
    };
  } catch {
    return undefined; // Not a line of ours; the meter counts those.
  }
}
