import { z } from 'zod';
import { ApplianceError, messageOf } from '../lib/errors.ts';
import { askHttp, type HttpAnswer, type HttpQuestion } from './http.ts';

/** Most that Alertmanager may answer, in bytes. */
const maxAnswer = 8 * 1024 * 1024;
/** Milliseconds within which it answers on its own host. */
const defaultTimeout = 3_000;

type Method = NonNullable<HttpQuestion['method']>;

const labels = z.record(z.string(), z.string());

const alertSchema = z
  .object({
    fingerprint: z.string(),
    labels,
    annotations: labels,
    startsAt: z.string(),
    endsAt: z.string(),
    receivers: z.array(z.object({ name: z.string() })),
    status: z.object({
      state: z.enum(['unprocessed', 'active', 'suppressed']),
      silencedBy: z.array(z.string()),
      inhibitedBy: z.array(z.string()),
    }),
  })
  .transform(({ status, receivers, ...alert }) => ({
    ...alert,
    ...status,
    receivers: receivers.map(({ name }) => name),
  }));
/** An alert as Alertmanager holds it. Times are RFC 3339. */
export type HeldAlert = z.output<typeof alertSchema>;

const matcherSchema = z.object({
  name: z.string(),
  value: z.string(),
  isRegex: z.boolean().default(false),
  isEqual: z.boolean().default(true),
});
export type Matcher = z.output<typeof matcherSchema>;

const silenceSchema = z
  .object({
    id: z.string(),
    createdBy: z.string(),
    comment: z.string(),
    startsAt: z.string(),
    endsAt: z.string(),
    matchers: z.array(matcherSchema),
    status: z.object({ state: z.enum(['expired', 'active', 'pending']) }),
  })
  .transform(({ status, ...silence }) => ({ ...silence, state: status.state }));
export type Silence = z.output<typeof silenceSchema>;

/** An alert as it is handed in. Handing in the same labels again prolongs it: that is how duplicates are told. */
export interface PostedAlert {
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly startsAt: string;
  /** When it counts as resolved unless it is handed in again. */
  readonly endsAt: string;
}

/** What Alertmanager has counted of one integration since it started. */
export interface DeliveryCount {
  /** `webhook`, `slack`, `pagerduty`, `email`. */
  readonly integration: string;
  /** Receiver; undefined where Alertmanager counts by integration alone. */
  readonly receiver: string | undefined;
  /** Attempts that the receiver's server was asked to take something, and those of them that it did not. */
  readonly attempts: number;
  readonly failures: number;
}

/**
 * Hands on the HTTP API (v2) of an Alertmanager.
 * Each call throws ApplianceError `alertmanager_unreachable` when it does not answer in time or not as expected, and
 * `alertmanager_refused` when it answers with an error.
 */
export class Alertmanager {
  readonly #base: string;
  readonly #timeout: number;

  /** @param base for example `http://127.0.0.1:9093` @param timeout milliseconds for a whole call */
  constructor(base: string, timeout = defaultTimeout) {
    this.#base = base.replace(/\/+$/, '');
    this.#timeout = timeout;
  }

  get address(): string {
    return this.#base;
  }

  async ready(signal?: AbortSignal): Promise<void> {
    await this.#call('GET', '/-/ready', undefined, signal);
  }

  /** Everything that fires, silenced and inhibited alerts included. */
  async alerts(signal?: AbortSignal): Promise<HeldAlert[]> {
    return this.#parsed(z.array(alertSchema), 'GET', '/api/v2/alerts', undefined, signal);
  }

  async post(alerts: readonly PostedAlert[], signal?: AbortSignal): Promise<void> {
    if (alerts.length > 0) await this.#call('POST', '/api/v2/alerts', alerts, signal);
  }

  async silences(signal?: AbortSignal): Promise<Silence[]> {
    return this.#parsed(z.array(silenceSchema), 'GET', '/api/v2/silences', undefined, signal);
  }

  /** @returns the id of the new silence */
  async silence(silence: Omit<Silence, 'id' | 'state'>, signal?: AbortSignal): Promise<string> {
    const answer = z.object({ silenceID: z.string() });
    return (await this.#parsed(answer, 'POST', '/api/v2/silences', silence, signal)).silenceID;
  }

  async expire(id: string, signal?: AbortSignal): Promise<void> {
    await this.#call('DELETE', `/api/v2/silence/${encodeURIComponent(id)}`, undefined, signal);
  }

  /** Makes it read its configuration again. */
  async reload(signal?: AbortSignal): Promise<void> {
    await this.#call('POST', '/-/reload', undefined, signal);
  }

  /** The receivers that the running configuration has. */
  async receivers(signal?: AbortSignal): Promise<string[]> {
    const list = await this.#parsed(
      z.array(z.object({ name: z.string() })),
      'GET',
      '/api/v2/receivers',
      undefined,
      signal,
    );
    return list.map(({ name }) => name);
  }

  /** What it has delivered and what not, from its own metrics. */
  async deliveries(signal?: AbortSignal): Promise<DeliveryCount[]> {
    return parseDeliveries(await this.#call('GET', '/metrics', undefined, signal));
  }

  async #parsed<T>(
    schema: z.ZodType<T>,
    method: Method,
    path: string,
    body: unknown,
    signal?: AbortSignal,
  ): Promise<T> {
    const text = await this.#call(method, path, body, signal);
    try {
      return schema.parse(JSON.parse(text));
    } catch (error) {
      throw this.#unreachable(`its answer to ${path} is not understood`, error);
    }
  }

  async #call(method: Method, path: string, body: unknown, signal: AbortSignal | undefined): Promise<string> {
    signal?.throwIfAborted();
    const deadline = AbortSignal.timeout(this.#timeout);
    let answer: HttpAnswer;
    try {
      answer = await askHttp(`${this.#base}${path}`, {
        method,
        body,
        maxBytes: maxAnswer,
        signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw this.#unreachable(
        deadline.aborted ? `it did not answer within ${this.#timeout / 1_000} s` : messageOf(error) || 'no connection',
        error,
      );
    }
    if (answer.status >= 200 && answer.status < 300) return answer.text;
    throw this.#refused(`it answered ${path} with ${answer.status}: ${answer.text.trim().slice(0, 300)}`);
  }

  #refused(why: string): ApplianceError {
    return new ApplianceError('alertmanager_refused', `Alertmanager at ${this.#base}: ${why}`, {
      left: 'it goes on as before',
      hint: 'appliance logs alertmanager',
    });
  }

  #unreachable(why: string, cause: unknown): ApplianceError {
    return new ApplianceError('alertmanager_unreachable', `Alertmanager at ${this.#base}: ${why}`, {
      left: "the agent's own alerts are kept and shown by appliance alerts",
      hint: 'appliance logs alertmanager',
      cause,
    });
  }
}

const sample = /^alertmanager_notification_requests_(failed_)?total\{([^}]*)\} ([0-9.e+]+)$/;

/** Reads the counters of deliveries out of Alertmanager's metrics. Pure. */
export function parseDeliveries(metrics: string): DeliveryCount[] {
  const counts = new Map<
    string,
    { integration: string; receiver: string | undefined; attempts: number; failures: number }
  >();
  for (const line of metrics.split('\n')) {
    const [, failed, text = '', value] = sample.exec(line) ?? [];
    if (value === undefined) continue;
    const pairs = new Map([...text.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, of]) => [name, of]));
    const integration = pairs.get('integration');
    if (integration === undefined) continue;
    const receiver = pairs.get('receiver_name');
    const key = `${integration} ${receiver ?? ''}`;
    const count = counts.get(key) ?? { integration, receiver, attempts: 0, failures: 0 };
    counts.set(key, count);
    if (failed) count.failures += Number(value);
    else count.attempts += Number(value);
  }
  return [...counts.values()];
}
