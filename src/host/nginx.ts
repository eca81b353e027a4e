import { request } from 'node:http';
import { z } from 'zod';
import type { Colour, Weights } from '../lib/colour.ts';
import { ApplianceError, messageOf, systemCode } from '../lib/errors.ts';
import { type Exchanges, type ExchangeWish, exchangesSchema } from './nginx-exchange.ts';

/** Most that nginx may answer on its control socket, in bytes. */
const maxAnswer = 64 * 1024;
/** Most that it hands over at once of exchanges, in bytes. */
const maxExchanges = 4 * 1024 * 1024;
/** Milliseconds within which nginx answers on its own host, however busy that is: what hangs on it asks once. */
const defaultTimeout = 5_000;

const share = z.int().min(0).max(100);
/** Shares of two colours, whole numbers that add up to 100. */
export const weightsSchema = z
  .object({ blue: share, green: share })
  .refine(({ blue, green }) => blue + green === 100, 'the weights of blue and green must add up to 100');

const releasesSchema = z.object({ blue: z.string().nullable(), green: z.string().nullable() });
/** Tags of the releases on both colours; null for a colour that is not there. */
type EdgeReleases = z.output<typeof releasesSchema>;

const uploadingSchema = z.object({ uploading: z.boolean() });

const statusSchema = z.object({
  /** Which configuration answers. */
  generation: z.string(),
  /** Process id of the worker that answered. */
  worker: z.number(),
  weights: weightsSchema.nullable(),
  releases: releasesSchema,
  connections: z.object({ active: z.number(), reading: z.number(), writing: z.number(), waiting: z.number() }),
});
export type EdgeStatus = z.output<typeof statusSchema>;

/** The control location of a running edge. Every call opens a connection of its own, so a new worker may answer. */
export interface EdgeControl {
  /** What requests get now; null while nginx knows no weights. */
  getWeights(signal?: AbortSignal): Promise<Weights | null>;
  /** Sets what the traffic script goes by, in every worker, where no marker file decides. @returns what it holds then */
  setWeights(weights: Weights, signal?: AbortSignal): Promise<Weights>;
  /** Says which release stands on which colour, for answers that do not say it themselves. */
  setReleases(releases: EdgeReleases, signal?: AbortSignal): Promise<EdgeReleases>;
  /**
   * Whether a client of a colour is still sending, or is answered what it has sent. An older configuration cannot say, and says no.
   * The question counts itself until nginx has closed it, so one that follows at once may be answered yes: ask again.
   */
  uploading(colour: Colour, signal?: AbortSignal): Promise<boolean>;
  status(signal?: AbortSignal): Promise<EdgeStatus>;
  /** Says what is to be copied from now on, and takes what was. Only where the configuration has shadow traffic. */
  exchanges(wish: ExchangeWish, signal?: AbortSignal): Promise<Exchanges>;
}

/**
 * Hands on the control socket of nginx.
 * @param socketPath the Unix socket that nginx listens on
 * @param timeout milliseconds for a whole call
 * Each call throws ApplianceError `edge_unreachable` when nginx does not answer in time or not as expected; its cause
 * has the system's code (`ENOENT`, `ECONNREFUSED`) when nothing listens.
 */
export function edgeControl(socketPath: string, timeout = defaultTimeout): EdgeControl {
  const call = async (method: 'GET' | 'PUT', path: string, body: unknown, signal: AbortSignal | undefined) => {
    signal?.throwIfAborted();
    const deadline = AbortSignal.timeout(timeout);
    try {
      const both = signal ? AbortSignal.any([signal, deadline]) : deadline;
      return await exchange(socketPath, method, path, body === undefined ? undefined : JSON.stringify(body), both);
    } catch (error) {
      signal?.throwIfAborted();
      throw unreachable(deadline.aborted ? `it did not answer within ${timeout / 1_000} s` : messageOf(error), error);
    }
  };
  return {
    getWeights: async (signal) => {
      const { status, body } = await call('GET', '/weights', undefined, signal);
      return status === 404 ? null : parse(weightsSchema, status, body);
    },
    setWeights: async (weights, signal) => {
      const { status, body } = await call('PUT', '/weights', weights, signal);
      return parse(weightsSchema, status, body);
    },
    setReleases: async (releases, signal) => {
      const { status, body } = await call('PUT', '/releases', releases, signal);
      return parse(releasesSchema, status, body);
    },
    uploading: async (colour, signal) => {
      const { status, body } = await call('PUT', `/uploads/${colour}`, {}, signal);
      if (status === 404) return false;
      return status === 409 || parse(uploadingSchema, status, body).uploading;
    },
    status: async (signal) => {
      const { status, body } = await call('GET', '/status', undefined, signal);
      return parse(statusSchema, status, body);
    },
    exchanges: async (wish, signal) => {
      const { status, body } = await call('PUT', '/shadow', wish, signal);
      if (status === 404) throw unreachable('its configuration has no shadow traffic; the next deploy changes that');
      return parse(exchangesSchema, status, body);
    },
  };
}

/** Whether an error of the control client means that no nginx is there at all, rather than a slow or broken one. */
export function nothingListens(error: unknown): boolean {
  const cause = error instanceof ApplianceError ? error.cause : error;
  return ['ENOENT', 'ECONNREFUSED'].includes(systemCode(cause) ?? '');
}

function unreachable(why: string, cause?: unknown): ApplianceError {
  return new ApplianceError('edge_unreachable', `the edge does not answer on its control socket: ${why}`, {
    hint: 'look at the container of the edge (appliance ps, appliance logs edge), then run: appliance up',
    cause,
  });
}

function parse<T>(schema: z.ZodType<T>, status: number, body: string): T {
  if (status !== 200) throw unreachable(`it answered ${status}: ${body.trim().slice(0, 200)}`);
  try {
    return schema.parse(JSON.parse(body));
  } catch (error) {
    throw unreachable(`it answered something else than expected: ${messageOf(error)}`, error);
  }
}

function exchange(
  socketPath: string,
  method: string,
  path: string,
  body: string | undefined,
  signal: AbortSignal,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = {
      host: 'edge',
      connection: 'close',
      ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
    };
    const outgoing = request({ socketPath, method, path, headers, agent: false, signal }, (incoming) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const most = path === '/shadow' ? maxExchanges : maxAnswer;
      incoming.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > most) incoming.destroy(new Error(`its answer is longer than ${most} bytes`));
        else chunks.push(chunk);
      });
      incoming.on('error', reject);
      incoming.on('end', () => {
        if (incoming.complete)
          resolve({ status: incoming.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') });
        else reject(new Error('the connection ended in the middle of its answer'));
      });
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}
