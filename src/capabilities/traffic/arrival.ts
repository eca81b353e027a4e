import { Agent, request } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';
import type { Config } from '../../config/schema.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Colour } from '../../lib/colour.ts';
import { messageOf } from '../../lib/errors.ts';
import { reachable } from './addresses.ts';
import { servedSets } from './tls.ts';

/** Answers in a row, over kept and over new connections, that prove where all requests go. */
const wanted = 20;
const pause = 100;
const keptOptions = { keepAlive: true, maxSockets: 1 } as const;

/** What one request through the edge got. */
export interface Arrival {
  readonly status: number;
  /** `X-Appliance-Release`: what the application itself says, else what is recorded for the colour. */
  readonly release: string;
  /** `X-Appliance-Edge`: set when nginx answered in place of the application. */
  readonly edge: string;
}

/** Why an answer is no proof that the release serves, or undefined when it is one. */
export function objection(arrival: Arrival, release: string): string | undefined {
  if (arrival.edge !== '') return `the edge itself answered ${arrival.status} (${arrival.edge})`;
  if (arrival.release !== release) return `an answer came from ${arrival.release || 'an unknown release'}`;
  return undefined;
}

interface ArrivalRequest {
  readonly config: Config;
  readonly clock: Clock;
  readonly release: string;
  /** What is asked: a path that the release answers when it is healthy. */
  readonly path: string;
  /** Milliseconds to try. */
  readonly within: number;
}

/**
 * Sends real requests through the published port until enough answers in a row came from the release.
 * @returns undefined when proven, else the last objection
 */
export function awaitArrival(about: ArrivalRequest, signal: AbortSignal): Promise<string | undefined> {
  return proven(about, {}, signal);
}

/**
 * Sends the same requests to a colour that gets no traffic yet, by the preview that internal addresses have: what the
 * edge cannot reach, no client should find out first.
 * @returns undefined when proven, or when `edge.internal` keeps this host from looking; else the last objection
 */
export async function awaitPreview(
  about: ArrivalRequest & { readonly colour: Colour },
  signal: AbortSignal,
): Promise<string | undefined> {
  const target = targetOf(about);
  const headers = { 'x-appliance-preview': about.colour };
  try {
    const [plain, preview] = [await ask(target, undefined, {}, signal), await ask(target, undefined, headers, signal)];
    if (plain.edge === '' && preview.edge === '' && preview.release === plain.release) return undefined;
  } catch {
    signal.throwIfAborted(); // The proof says what is wrong.
  }
  return proven(about, headers, signal);
}

/** The way that clients go: where they are led to HTTPS, what is asked over HTTP proves nothing. */
function targetOf({ config, path }: ArrivalRequest): Target {
  const secure = servedSets(config).some(({ redirect }) => redirect);
  return { ...reachable(secure ? config.edge.https : config.edge.http), path, secure };
}

async function proven(
  about: ArrivalRequest,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { clock, release, within } = about;
  const target = targetOf(about);
  const kept = target.secure ? new SecureAgent(keptOptions) : new Agent(keptOptions);
  const deadline = clock.monotonic() + within;
  let inRow = 0;
  let last: string | undefined;
  try {
    while (inRow < wanted) {
      let limited = false;
      try {
        const arrival = await ask(target, inRow % 2 === 0 ? kept : undefined, headers, signal);
        limited = arrival.edge === 'rate-limit';
        last = objection(arrival, release);
      } catch (error) {
        signal.throwIfAborted();
        last = `a request failed: ${messageOf(error)}`;
      }
      // We asked too often for this edge, which says nothing about the release: fewer answers have to do.
      if (!limited) inRow = last === undefined ? inRow + 1 : 0;
      if (last === undefined) continue;
      if (clock.monotonic() > deadline) return limited && inRow > 0 ? undefined : last;
      await clock.sleep(pause, signal);
    }
    return undefined;
  } finally {
    kept.destroy();
  }
}

interface Target {
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly secure: boolean;
}

/** One request through the edge. @param agent keeps connections; without one a new connection is opened */
function ask(
  target: Target,
  agent: Agent | undefined,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Arrival> {
  const { secure, ...where } = target;
  const open = secure ? secureRequest : request;
  return new Promise((resolve, reject) => {
    const outgoing = open(
      {
        ...where,
        // Which release answers is proven here; certificates are proven by whoever installs them.
        ...(secure ? { rejectUnauthorized: false } : {}),
        method: 'GET',
        headers,
        agent: agent ?? false,
        signal: AbortSignal.any([signal, AbortSignal.timeout(5_000)]),
      },
      (incoming) => {
        const header = (name: string) => {
          const value = incoming.headers[name];
          // Header values are bytes; a tag is UTF-8.
          return typeof value === 'string' ? Buffer.from(value, 'latin1').toString('utf8') : '';
        };
        incoming.on('error', reject);
        incoming.on('end', () =>
          resolve({
            status: incoming.statusCode ?? 0,
            release: header('x-appliance-release'),
            edge: header('x-appliance-edge'),
          }),
        );
        incoming.resume();
      },
    );
    outgoing.on('error', reject);
    outgoing.end();
  });
}
