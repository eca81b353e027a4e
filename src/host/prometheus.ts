import { z } from 'zod';
import { ApplianceError, messageOf } from '../lib/errors.ts';
import { askHttp } from './http.ts';

/** Most that Prometheus may answer, in bytes. */
const maxAnswer = 8 * 1024 * 1024;
/** Milliseconds within which it answers on its own host. */
const defaultTimeout = 3_000;

const sampleSchema = z.object({
  metric: z.record(z.string(), z.string()),
  /** Seconds since 1970 and the value as text: NaN and infinities are no numbers in JSON. */
  value: z.tuple([z.number(), z.string()]).transform(([time, text]) => ({ time, value: parseValue(text) })),
});

const resultSchema = z.union([
  z.object({ resultType: z.literal('vector'), result: z.array(sampleSchema) }),
  z
    .object({ resultType: z.literal('scalar'), result: z.tuple([z.number(), z.string()]) })
    .transform(({ result: [time, text] }) => ({
      resultType: 'vector' as const,
      result: [{ metric: {}, value: { time, value: parseValue(text) } }],
    })),
]);

/** One series at one instant. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  /** Seconds since 1970. */
  readonly time: number;
  /** May be NaN or infinite. */
  readonly value: number;
}

const runtimeSchema = z.object({ reloadConfigSuccess: z.boolean(), lastConfigTime: z.string() });

/**
 * Hands on the HTTP API (v1) of a Prometheus.
 * Each call throws ApplianceError `prometheus_unreachable` when it does not answer in time or not as expected.
 */
export class Prometheus {
  readonly #base: string;
  readonly #timeout: number;

  /** @param base for example `http://127.0.0.1:9090` @param timeout milliseconds for a whole call */
  constructor(base: string, timeout = defaultTimeout) {
    this.#base = base.replace(/\/+$/, '');
    this.#timeout = timeout;
  }

  /**
   * What an expression is right now, or at an instant. No series is an empty list, never zero.
   * @param at milliseconds since 1970
   */
  async query(
    expression: string,
    options: { readonly at?: number; readonly signal?: AbortSignal } = {},
  ): Promise<Sample[]> {
    const parameters = new URLSearchParams({ query: expression });
    if (options.at !== undefined) parameters.set('time', String(options.at / 1_000));
    const { result } = await this.#data(resultSchema, `/api/v1/query?${parameters}`, options.signal);
    return result.map(({ metric, value }) => ({ labels: metric, ...value }));
  }

  /** Whether it took the configuration that it was last told to read, and when it last took one (RFC 3339). */
  async configuration(signal?: AbortSignal): Promise<{ readonly taken: boolean; readonly since: string }> {
    const { reloadConfigSuccess: taken, lastConfigTime: since } = await this.#data(
      runtimeSchema,
      '/api/v1/status/runtimeinfo',
      signal,
    );
    return { taken, since };
  }

  async #data<T>(schema: z.ZodType<T>, path: string, signal: AbortSignal | undefined): Promise<T> {
    signal?.throwIfAborted();
    const deadline = AbortSignal.timeout(this.#timeout);
    const either = signal ? AbortSignal.any([signal, deadline]) : deadline;
    try {
      const { text } = await askHttp(`${this.#base}${path}`, { signal: either, maxBytes: maxAnswer });
      const answer = answerSchema.parse(JSON.parse(text));
      if (answer.status === 'success') return schema.parse(answer.data);
      throw new RangeError(`it refuses: ${answer.error}`);
    } catch (error) {
      signal?.throwIfAborted();
      throw this.#unreachable(deadline.aborted ? `no answer within ${this.#timeout / 1_000} s` : reason(error), error);
    }
  }

  #unreachable(why: string, cause: unknown): ApplianceError {
    return new ApplianceError('prometheus_unreachable', `Prometheus at ${this.#base}: ${why}`, {
      left: 'nothing was touched; traffic does not depend on it',
      hint: 'appliance logs prometheus',
      cause,
    });
  }
}

const answerSchema = z.union([
  z.object({ status: z.literal('success'), data: z.unknown() }),
  z.object({ status: z.literal('error'), error: z.string() }),
]);

function reason(error: unknown): string {
  if (error instanceof z.ZodError || error instanceof SyntaxError) return 'its answer is not understood';
  return messageOf(error) || 'no connection';
}

/** Prometheus writes NaN, +Inf and -Inf. */
function parseValue(text: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY;
  return text === '-Inf' ? Number.NEGATIVE_INFINITY : Number(text);
}
