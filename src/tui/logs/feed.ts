import type { Client } from '../../api/client.ts';
import type { LogLine } from '../../api/schema.ts';
import type { Clock } from '../../lib/clock.ts';
import { asApplianceError } from '../../lib/errors.ts';
import { plainText } from '../../lib/text.ts';
import type { LogEntry, State } from '../state.ts';
import type { Store } from '../store.ts';

/** Lines that are kept. More would only cost memory: who needs them uses `appliance logs`. */
const keptLines = 10_000;
/** Lines per container at the beginning. */
const atFirst = 500;
/** Milliseconds for which lines are collected before they are shown. */
const batch = 200;
/** Milliseconds until a stream that ended is asked for again. */
const again = 1_000;

/** Follows the logs, once somebody has looked at them. Another choice of service begins another stream. */
export class LogFeed {
  readonly #store: Store<State>;
  readonly #clock: Clock;
  #seq = 0;
  /** Time of the newest line, so that a new connection goes on where the old one broke off. */
  #newest: string | undefined;
  #service: string | undefined;

  constructor(store: Store<State>, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Runs until the signal aborts. @throws ApplianceError when the agent is gone */
  async run(client: Client, signal: AbortSignal): Promise<void> {
    await this.#wanted(signal);
    while (!signal.aborted) {
      const { service } = this.#store.get().view.logs;
      if (service !== this.#service) this.#startOver(service);
      const other = new AbortController();
      const forget = this.#store.subscribe(() => {
        if (this.#store.get().view.logs.service !== service) other.abort();
      });
      try {
        await this.#stream(client, service, AbortSignal.any([signal, other.signal]));
      } catch (thrown) {
        const error = asApplianceError(thrown);
        if (error.code === 'agent_unreachable') throw error;
      } finally {
        forget();
      }
      if (!other.signal.aborted) await this.#clock.sleep(again, signal).catch(() => undefined);
    }
  }

  /** Resolves when the logs are looked at for the first time. */
  async #wanted(signal: AbortSignal): Promise<void> {
    const isWanted = () => this.#store.get().view.screen === 'logs';
    if (isWanted() || signal.aborted) return;
    await new Promise<void>((resolve) => {
      const check = () => {
        if (!isWanted() && !signal.aborted) return;
        forget();
        resolve();
      };
      const forget = this.#store.subscribe(check);
      signal.addEventListener('abort', check, { once: true });
    });
  }

  #startOver(service: string | undefined): void {
    this.#service = service;
    this.#newest = undefined;
    this.#store.set({ logs: [] });
  }

  async #stream(client: Client, service: string | undefined, signal: AbortSignal): Promise<void> {
    const since = this.#newest;
    const waiting: LogEntry[] = [];
    const flush = () => {
      if (waiting.length === 0 || signal.aborted) return;
      this.#store.set({ logs: [...this.#store.get().logs, ...waiting.splice(0)].slice(-keptLines) });
    };
    const flushing = setInterval(flush, batch);
    try {
      const wish = { services: service === undefined ? [] : [service], follow: true };
      const from = since === undefined ? { tail: atFirst } : { since };
      for await (const line of client.stream('logs', { ...wish, ...from }, signal)) {
        if (since !== undefined && line.time !== null && line.time <= since) continue;
        this.#newest = line.time ?? this.#newest;
        waiting.push(this.#entry(line));
        // More than are kept would be gone before they could be shown.
        if (waiting.length >= 2 * keptLines) waiting.splice(0, keptLines);
      }
    } finally {
      clearInterval(flushing);
      flush();
    }
  }

  #entry({ time, service, colour, stream, text }: LogLine): LogEntry {
    this.#seq += 1;
    return {
      seq: this.#seq,
      service,
      label: colour === null ? service : `${service} ${colour}`,
      error: stream === 'stderr',
      time,
      text: plainText(text),
    };
  }
}
