import type { Client } from '../api/client.ts';
import type { Clock } from '../lib/clock.ts';
import { asApplianceError } from '../lib/errors.ts';
import { type Answered, type DocumentName, type Documents, sources, waitOf } from './documents.ts';
import { Nap } from './nap.ts';
import { screenOf } from './screens/table.ts';
import type { State } from './state.ts';
import type { Store } from './store.ts';

/**
 * Asks for what the open screen shows besides the status: when it is opened, when something has happened, and every so
 * often. Screens that nobody looks at cost the agent nothing.
 */
export class DocumentFeed {
  readonly #store: Store<State>;
  readonly #clock: Clock;
  readonly #asked = new Map<DocumentName, number>();
  readonly #nap: Nap;

  constructor(store: Store<State>, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
    this.#nap = new Nap(clock);
  }

  /** Something happened: whatever is shown is asked for again. */
  refresh(): void {
    this.#asked.clear();
    this.#nap.wake();
  }

  /** Runs until the signal aborts. @throws ApplianceError when the agent is gone */
  async run(client: Client, signal: AbortSignal): Promise<void> {
    this.#asked.clear();
    const gone = Promise.withResolvers<never>();
    gone.promise.catch(() => undefined);
    // One that takes long keeps no other screen waiting, and is not asked for twice.
    const underWay = new Set<DocumentName>();
    while (!signal.aborted) {
      const name = screenOf(this.#store.get().view.screen).feed;
      if (name !== undefined && !underWay.has(name) && this.#dueIn(name) <= 0) {
        underWay.add(name);
        this.#ask(name, client, signal)
          .catch(gone.reject)
          .finally(() => {
            underWay.delete(name);
            this.#nap.wake();
          });
      }
      await Promise.race([this.#pause(name, underWay, signal), gone.promise]);
    }
  }

  /** Milliseconds until it is to be asked for again. */
  #dueIn(name: DocumentName): number {
    const asked = this.#asked.get(name);
    return asked === undefined ? 0 : asked + waitOf(name) - this.#clock.monotonic();
  }

  /** Waits until the document of the open screen is due, shorter when another screen is opened. */
  async #pause(name: DocumentName | undefined, underWay: ReadonlySet<DocumentName>, signal: AbortSignal) {
    const isOther = () => screenOf(this.#store.get().view.screen).feed !== name;
    const forget = this.#store.subscribe(() => {
      if (isOther()) this.#nap.wake();
    });
    const rests = name === undefined || underWay.has(name);
    if (!isOther()) await this.#nap.take(rests ? undefined : this.#dueIn(name), signal);
    forget();
  }

  async #ask(name: DocumentName, client: Client, signal: AbortSignal): Promise<void> {
    this.#asked.set(name, this.#clock.monotonic());
    const set = (answer: Answered<unknown>) =>
      // The names of sources and documents are the same table; the type system cannot follow one name through both.
      this.#store.set({ documents: { ...this.#store.get().documents, [name]: answer } as Documents });
    try {
      set({ data: await sources[name](client, signal), problem: undefined });
    } catch (thrown) {
      const { code, message, hint } = asApplianceError(thrown);
      if (code === 'agent_unreachable' || signal.aborted) throw thrown;
      set({ data: undefined, problem: { message, hint } });
    }
  }
}
