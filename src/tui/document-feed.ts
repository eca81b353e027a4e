import type { Client } from '../api/client.ts';
import type { Clock } from '../lib/clock.ts';
import { asApplianceError } from '../lib/errors.ts';
import { type Answered, type DocumentName, type Documents, sources, waitOf } from './documents.ts';
import { screenOf } from './screens/table.ts';
import type { State } from './state.ts';
import type { Store } from './store.ts';

/** Milliseconds between two looks at what is due. */
const tick = 1_000;

/**
 * Asks for what the open screen shows besides the status: when it is opened, when something has happened, and every so
 * often. Screens that nobody looks at cost the agent nothing.
 */
export class DocumentFeed {
  readonly #store: Store<State>;
  readonly #clock: Clock;
  readonly #asked = new Map<DocumentName, number>();
  #wake: () => void = () => undefined;

  constructor(store: Store<State>, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Something happened: whatever is shown is asked for again. */
  refresh(): void {
    this.#asked.clear();
    this.#wake();
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
      if (name !== undefined && !underWay.has(name) && this.#isDue(name)) {
        underWay.add(name);
        this.#ask(name, client, signal)
          .catch(gone.reject)
          .finally(() => underWay.delete(name));
      }
      await Promise.race([this.#pause(name, signal), gone.promise]);
    }
  }

  #isDue(name: DocumentName): boolean {
    const asked = this.#asked.get(name);
    return asked === undefined || this.#clock.monotonic() - asked > waitOf(name);
  }

  /** Waits a moment, shorter when another screen is opened. */
  async #pause(name: DocumentName | undefined, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    const forget = this.#store.subscribe(() => {
      if (screenOf(this.#store.get().view.screen).feed !== name) woken.abort();
    });
    await this.#clock.sleep(tick, AbortSignal.any([signal, woken.signal])).catch(() => undefined);
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
