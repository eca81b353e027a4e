import { once } from 'node:events';
import { constants } from 'node:os';
import type { SuspendTerminal } from 'ink';
import { systemClock } from '../lib/clock.ts';

const deadly = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
/** Milliseconds after which nobody has stopped us after all (a process group without a shell cannot be stopped). */
const notStopped = 500;

/**
 * What happens to the screens from outside: signals, a terminal that goes away, a defect. In every case the terminal is
 * given back as it was.
 */
export class Lifecycle {
  /** What broke, if anything did. */
  failure: unknown;
  readonly #quit: (code: number) => void;
  readonly #remove: (() => void)[] = [];
  #suspendTerminal: SuspendTerminal | undefined;
  #suspended = false;

  /** @param quit closes the screens and ends with an exit status */
  constructor(quit: (code: number) => void) {
    this.#quit = quit;
    for (const name of deadly) {
      this.#on(process, name, () => {
        // While a command has the terminal, Ctrl-C is for the command.
        if (name !== 'SIGINT' || !this.#suspended) this.#quit(128 + constants.signals[name]);
      });
    }
    this.#on(process, 'SIGTSTP', () => this.suspend());
    this.#on(process, 'uncaughtException', (error) => this.fail(error));
    this.#on(process, 'unhandledRejection', (error) => this.fail(error));
    this.#on(process.stdin, 'error', () => this.#quit(128 + constants.signals.SIGHUP));
  }

  /** Whether the shell or a command has the terminal. */
  get lent(): boolean {
    return this.#suspended;
  }

  /** Tells how the terminal is handed over; known once the screens are drawn. */
  bind(suspendTerminal: SuspendTerminal): void {
    this.#suspendTerminal = suspendTerminal;
  }

  command(action: 'quit' | 'suspend'): void {
    if (action === 'quit') this.#quit(0);
    else this.suspend();
  }

  fail(error: unknown): void {
    this.failure ??= error;
    this.#quit(1);
  }

  /** Gives the terminal back to the shell and stops this process until `fg`. */
  suspend(): void {
    if (this.#suspended || !this.#suspendTerminal) return;
    this.#suspended = true;
    this.#suspendTerminal(stopGroup)
      .catch((error: unknown) => this.fail(error))
      .finally(() => {
        this.#suspended = false;
      });
  }

  /**
   * Hands the terminal over to something else until that has ended.
   * @throws Error as the work threw it
   */
  async lend(work: () => Promise<void>): Promise<void> {
    if (this.#suspended || !this.#suspendTerminal) return;
    this.#suspended = true;
    try {
      await this.#suspendTerminal(work);
    } finally {
      this.#suspended = false;
    }
  }

  release(): void {
    for (const remove of this.#remove) remove();
  }

  #on(source: NodeJS.EventEmitter, name: string, listener: (argument: unknown) => void): void {
    source.on(name, listener);
    this.#remove.push(() => source.off(name, listener));
  }
}

/** Stops the whole job, as Ctrl-Z does, until the shell continues it. */
async function stopGroup(): Promise<void> {
  const listeners = process.listeners('SIGTSTP');
  process.removeAllListeners('SIGTSTP');
  const continued = once(process, 'SIGCONT');
  process.kill(0, 'SIGTSTP');
  await Promise.race([continued, systemClock.sleep(notStopped)]);
  for (const listener of listeners) process.on('SIGTSTP', listener);
}
