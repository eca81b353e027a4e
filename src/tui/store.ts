/** A value that lives outside of React; screens subscribe to the part they show. */
export class Store<State extends object> {
  #state: State;
  readonly #listeners = new Set<() => void>();

  constructor(initial: State) {
    this.#state = initial;
  }

  readonly get = (): State => this.#state;

  /** Replaces the parts that are given. Listeners are told only when something is new. */
  readonly set = (patch: Partial<State>): void => {
    const next = { ...this.#state, ...patch };
    const same = (Object.keys(patch) as (keyof State)[]).every((key) => Object.is(next[key], this.#state[key]));
    if (same) return;
    this.#state = next;
    for (const listener of this.#listeners) listener();
  };

  /** @returns takes the listener away again */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
}
