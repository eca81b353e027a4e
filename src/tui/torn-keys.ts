/** What is left of a key when its first byte, Escape, was taken for a key of its own. */
const remainders: Readonly<Record<string, string>> = {
  '[A': '↑',
  OA: '↑',
  '[B': '↓',
  OB: '↓',
  '[C': '→',
  OC: '→',
  '[D': '←',
  OD: '←',
  '[5~': 'PgUp',
  '[6~': 'PgDn',
  '[H': 'Home',
  OH: 'Home',
  '[F': 'End',
  OF: 'End',
  '[Z': 'Shift-Tab',
};

/** Milliseconds for which an Escape waits for the rest of a key. Ink has waited 20 of its own before. */
const patience = 80;

/**
 * Puts keys together again that a slow line has torn apart: an arrow key that arrives as Escape, and a moment later as
 * `[A`, would otherwise leave the screen.
 */
export class TornKeys {
  readonly #press: (names: readonly string[]) => void;
  #waiting: NodeJS.Timeout | undefined;

  /** @param press is told the names of keys */
  constructor(press: (names: readonly string[]) => void) {
    this.#press = press;
  }

  /**
   * @param input text of the event as it came
   * @param names the keys that it stands for by itself
   */
  take(input: string, names: readonly string[]): void {
    const waited = this.#waiting !== undefined;
    clearTimeout(this.#waiting);
    this.#waiting = undefined;
    const whole = waited ? remainders[input] : undefined;
    if (whole !== undefined) {
      this.#press([whole]);
      return;
    }
    if (waited) this.#press(['Esc']);
    if (names.length !== 1 || names[0] !== 'Esc') {
      this.#press(names);
      return;
    }
    const waiting = setTimeout(() => {
      // This process may have been late itself: what has come meanwhile is read first.
      setImmediate(() => {
        if (this.#waiting !== waiting) return;
        this.#waiting = undefined;
        this.#press(['Esc']);
      });
    }, patience);
    this.#waiting = waiting;
  }
}
