import type { Handlers } from '../api/handlers.ts';
import type { RouteName } from '../api/routes.ts';
import { readIfPresent } from '../host/files.ts';
import type { Clock } from '../lib/clock.ts';
import { ApplianceError, asApplianceError, type ErrorCode } from '../lib/errors.ts';
import type { Appliance } from './appliance.ts';
import type { Turns } from './turns.ts';

/** An appliance as its configuration says, with whatever follows the engine for it. */
export interface Generation {
  readonly appliance: Appliance;
  readonly handlers: Handlers;
  /** Stops following, and lets go of its files. The database stays open: the next generation goes on with it. */
  stop(): Promise<void>;
}

/** What must not go on with an older configuration than the one that stands on disk. */
const needsCurrent: ReadonlySet<RouteName> = new Set(['deploy', 'plan']);

/** What is wrong until somebody changes the file again. */
const aboutTheFile: ReadonlySet<ErrorCode> = new Set(['config_invalid', 'config_missing']);

export interface GenerationsDeps {
  /** Where appliance.yaml stands. */
  readonly path: string;
  /** Reads it and puts an appliance together, which shares these turns. */
  readonly open: () => Promise<Generation>;
  readonly turns: Turns;
  readonly clock: Clock;
}

/**
 * Follows appliance.yaml: each request is answered by the configuration as it stands on disk. A file with a mistake is
 * never used; deploys are refused until it is mended, everything else (a rollback above all) goes on with the last one
 * that was good. What runs ends with the configuration that it began with, and the next one takes over behind it.
 */
export class Generations {
  readonly #deps: GenerationsDeps;
  #current: Generation;
  /** What the file said when it was last read, well or with a mistake; null: it has to be read again in any case. */
  #text: string | undefined | null;
  #reopening: Promise<void> | undefined;
  #problem: ApplianceError | undefined;

  private constructor(deps: GenerationsDeps, first: Generation, text: string | undefined) {
    this.#deps = deps;
    this.#current = first;
    this.#text = text;
  }

  /** @throws ApplianceError as `open` does */
  static async start(deps: GenerationsDeps): Promise<Generations> {
    const text = await readIfPresent(deps.path);
    return new Generations(deps, await deps.open(), text);
  }

  get current(): Generation {
    return this.#current;
  }

  /** Why the file on disk is not used. */
  get problem(): ApplianceError | undefined {
    return this.#problem;
  }

  /**
   * Who answers a request.
   * @param asked.wait milliseconds that the caller waits for what runs
   * @throws ApplianceError for what needs the file as it stands on disk: `config_invalid`; `busy` while something runs with
   *   an older one
   */
  async handlersFor(
    name: RouteName,
    asked: { readonly wait: number; readonly signal: AbortSignal },
  ): Promise<Handlers> {
    // Whether the agent lives has nothing to do with its file.
    if (name === 'ping') return this.#current.handlers;
    const held = await this.#follow();
    if (needsCurrent.has(name)) {
      if (held) await this.#succession(name, asked);
      if (this.#problem) throw this.#problem;
    }
    return this.#current.handlers;
  }

  /** Waits for what keeps the file on disk from being used. */
  async #succession(
    name: RouteName,
    { wait, signal }: { readonly wait: number; readonly signal: AbortSignal },
  ): Promise<void> {
    const { path, turns, clock } = this.#deps;
    const until = clock.monotonic() + wait;
    do {
      if (clock.monotonic() >= until) {
        const { message, hint } = this.#current.appliance.operations.reports.busy(name);
        throw new ApplianceError('busy', `${path} has changed, and is read when this has ended: ${message}`, {
          left: 'it goes on; nothing was touched',
          hint: name === 'plan' ? 'say it again when that has ended' : hint,
        });
      }
      await turns.freed(until, signal);
    } while (await this.#follow());
  }

  /** @returns whether something that runs keeps the file on disk from being used */
  async #follow(): Promise<boolean> {
    const { path, turns } = this.#deps;
    await this.#reopening;
    const text = await readIfPresent(path);
    if (text === this.#text) return false;
    if (!turns.current) {
      this.#reopening ??= this.#reopen(text).finally(() => {
        this.#reopening = undefined;
      });
      await this.#reopening;
    }
    return text !== this.#text && turns.current !== undefined;
  }

  async #reopen(text: string | undefined): Promise<void> {
    try {
      const [before, next] = [this.#current, await this.#deps.open()];
      // Something has begun meanwhile: this is done again behind it.
      if (this.#deps.turns.current) return await next.stop();
      this.#current = next;
      this.#text = text;
      this.#problem = undefined;
      await before.stop();
    } catch (error) {
      this.#problem = asApplianceError(error);
      // What else went wrong, such as a full disk, may be over when somebody asks again.
      this.#text = aboutTheFile.has(this.#problem.code) ? text : null;
    }
  }
}
