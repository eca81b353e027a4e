import type { Client } from '../api/client.ts';
import type { ApplianceEvent, OperationResult, OperationView, Status } from '../api/schema.ts';
import type { Clock } from '../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../lib/errors.ts';
import { DocumentFeed } from './document-feed.ts';
import { LogFeed } from './logs/feed.ts';
import { Nap } from './nap.ts';
import { follow, fromStatus } from './operation.ts';
import { withReadings, withRequests } from './series.ts';
import type { State } from './state.ts';
import type { Store } from './store.ts';

/** Milliseconds between two looks at the clock, and the least between two requests for the status. */
const tick = 1_000;
/** Milliseconds after which the status is asked for although nothing was heard: usage changes without an event. */
const quiet = 5_000;
/** Past operations that are kept. */
const remembered = 20;
/** Milliseconds until the next try to connect, growing while the agent stays away. */
const backOff = [500, 1_000, 2_000, 4_000, 8_000] as const;

/**
 * Keeps the store up to date for as long as the screens are open. The agent collects; this listens to its events and
 * asks for the status at most once a second, and only when something happened.
 */
export class Feed {
  readonly #store: Store<State>;
  readonly #connect: () => Promise<Client>;
  readonly #clock: Clock;
  readonly #logs: LogFeed;
  readonly #documents: DocumentFeed;
  #client: Client | undefined;
  #refresher: Refresher | undefined;
  readonly #stop = new AbortController();

  constructor(store: Store<State>, connect: () => Promise<Client>, clock: Clock) {
    this.#store = store;
    this.#connect = connect;
    this.#clock = clock;
    this.#logs = new LogFeed(store, clock);
    this.#documents = new DocumentFeed(store, clock);
  }

  /** The agent that is listened to now. */
  get client(): Client | undefined {
    return this.#client;
  }

  /** Something was changed: what is shown is asked for again. */
  refresh(): void {
    this.#refresher?.hurry();
    this.#documents.refresh();
  }

  /** Runs until `close`. */
  async run(): Promise<void> {
    const { signal } = this.#stop;
    const ticking = setInterval(() => this.#tick(), tick);
    try {
      for (let failures = 0; !signal.aborted; ) {
        const error = await this.#attend().catch(asApplianceError);
        if (signal.aborted) return;
        failures = error === undefined ? 0 : failures + 1;
        await this.#pause(error ?? new ApplianceError('agent_unreachable', 'the agent went away'), failures);
      }
    } finally {
      clearInterval(ticking);
    }
  }

  close(): void {
    this.#stop.abort();
  }

  /** Seconds are counted where something is waited for; elsewhere the time comes with the status. */
  #tick(): void {
    const { link, operation, status, now } = this.#store.get();
    const waits = link.kind !== 'up' || operation !== undefined || status?.rollout != null;
    const time = this.#clock.now();
    if (waits || time - now >= quiet) this.#store.set({ now: time });
  }

  /** Waits before the next try, and says so. */
  async #pause({ code, message }: ApplianceError, failures: number): Promise<void> {
    const wait = backOff[Math.min(failures, backOff.length - 1)] ?? tick;
    const known = this.#store.get().status !== undefined;
    this.#store.set({
      link: { kind: known ? 'lost' : 'absent', code, message, retryAt: this.#clock.now() + wait },
      now: this.#clock.now(),
    });
    await this.#clock.sleep(wait, this.#stop.signal).catch(() => undefined);
  }

  /** One connection, from its beginning until the agent is gone. @throws ApplianceError when there is no agent */
  async #attend(): Promise<undefined> {
    const client = await this.#connect();
    const gone = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, gone.signal]);
    try {
      const refresher = new Refresher(this.#store, client, this.#clock, (id) => {
        // Somebody began it before we listened: its events are told again from the beginning.
        this.#join(client, id, signal).catch(() => undefined);
      });
      this.#client = client;
      this.#refresher = refresher;
      await refresher.refresh(signal);
      this.#store.set({ link: { kind: 'up', access: client.access } });
      // Whichever of these ends first has noticed that the agent is gone.
      await Promise.race([
        this.#listen(client, refresher, signal),
        refresher.keepFresh(signal),
        this.#logs.run(client, signal),
        this.#documents.run(client, signal),
      ]);
    } finally {
      this.#client = undefined;
      gone.abort();
      await client.close();
    }
    return undefined;
  }

  async #listen(client: Client, refresher: Refresher, signal: AbortSignal): Promise<void> {
    for await (const event of client.stream('events', {}, signal)) {
      this.#take(event);
      refresher.hurry();
      if (event.event === 'operation-ended') this.#documents.refresh();
    }
  }

  async #join(client: Client, id: string, signal: AbortSignal): Promise<void> {
    for await (const event of client.stream('follow', { operation: id }, signal)) this.#take(event);
  }

  #take(event: ApplianceEvent): void {
    const { operation, history } = this.#store.get();
    this.#store.set({ operation: follow(operation, event) });
    if (event.event !== 'operation-ended' || history.some((result) => result.operation === event.operation)) return;
    this.#store.set({ history: [event.result, ...history].slice(0, remembered) });
  }
}

/** Asks for the status when something has happened, and for past operations when one of them went by unseen. */
class Refresher {
  /** Something happened since the status was asked for; at the beginning, whatever happened before we listened. */
  #stale = true;
  readonly #nap: Nap;
  readonly #store: Store<State>;
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #onUnknown: (operation: string) => void;
  #asked = 0;
  /** What must be different when an operation has ended: who is live, and what is running. */
  #seen: string | undefined;

  /** @param onUnknown is told of an operation that runs and of which no event was heard */
  constructor(store: Store<State>, client: Client, clock: Clock, onUnknown: (operation: string) => void) {
    this.#store = store;
    this.#client = client;
    this.#clock = clock;
    this.#onUnknown = onUnknown;
    this.#nap = new Nap(clock);
  }

  /** Something happened: the status is asked for soon. */
  hurry(): void {
    if (this.#stale) return;
    this.#stale = true;
    this.#nap.wake();
  }

  async keepFresh(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const due = this.#asked + (this.#stale ? tick : quiet) - this.#clock.monotonic();
      if (due > 0) {
        await this.#nap.take(due, signal);
        continue;
      }
      this.#stale = false;
      await this.refresh(signal);
    }
  }

  /** @throws ApplianceError when the agent is gone; what it cannot answer is shown instead */
  async refresh(signal: AbortSignal): Promise<void> {
    this.#asked = this.#clock.monotonic();
    const before = this.#store.get().operation;
    try {
      const status = await this.#client.ask('status', {}, signal);
      const known = this.#store.get().operation;
      // What has begun or ended meanwhile was heard, and the answer may be older than that.
      const operation = known?.id === before?.id ? fromStatus(status.operation, known) : known;
      const now = this.#clock.now();
      const series = withReadings(this.#store.get().series, status.services, now);
      const requests = withRequests(this.#store.get().requests, status.requests, now);
      this.#store.set({ status, operation, series, requests, problem: undefined, now });
      if (operation && operation.id !== known?.id) this.#onUnknown(operation.id);
      await this.#recall(status, signal);
    } catch (thrown) {
      const error = asApplianceError(thrown);
      if (error.code === 'agent_unreachable' || signal.aborted) throw error;
      this.#store.set({ problem: { message: error.message, hint: error.hint } });
    }
  }

  async #recall({ release, operation }: Status, signal: AbortSignal): Promise<void> {
    const seen = JSON.stringify([release?.tag, release?.since, operation?.id]);
    if (seen === this.#seen) return;
    const history = (await this.#client.ask('operations', {}, signal)).filter(hasEnded);
    this.#seen = seen;
    this.#store.set({ history: history.slice(0, remembered) });
  }
}

function hasEnded(operation: OperationView): operation is OperationResult {
  return operation.result !== 'running';
}
