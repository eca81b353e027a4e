import type { Handlers } from '../api/handlers.ts';
import type { RouteName } from '../api/routes.ts';
import { readIfPresent } from '../host/files.ts';
import { type ApplianceError, asApplianceError } from '../lib/errors.ts';
import type { Appliance } from './appliance.ts';

/** An appliance as its configuration says, with whatever follows the engine for it. */
export interface Generation {
  readonly appliance: Appliance;
  readonly handlers: Handlers;
  /** Stops following. The database stays open: the next generation goes on with it. */
  stop(): Promise<void>;
}

/** What must not go on with an older configuration than the one that stands on disk. */
const needsCurrent: ReadonlySet<RouteName> = new Set(['deploy', 'plan']);

/**
 * Follows appliance.yaml: each request is answered by the configuration as it stands on disk. A file with a mistake is
 * never used; deploys are refused until it is mended, everything else (a rollback above all) goes on with the last one
 * that was good.
 */
export class Generations {
  readonly #path: string;
  readonly #open: () => Promise<Generation>;
  #current: Generation;
  #text: string | undefined;
  #reopening: Promise<void> | undefined;
  #problem: ApplianceError | undefined;

  private constructor(path: string, open: () => Promise<Generation>, first: Generation, text: string | undefined) {
    this.#path = path;
    this.#open = open;
    this.#current = first;
    this.#text = text;
  }

  /** @param open reads the configuration and puts an appliance together @throws ApplianceError as `open` does */
  static async start(path: string, open: () => Promise<Generation>): Promise<Generations> {
    const text = await readIfPresent(path);
    return new Generations(path, open, await open(), text);
  }

  get current(): Generation {
    return this.#current;
  }

  /** Why the file on disk is not used. */
  get problem(): ApplianceError | undefined {
    return this.#problem;
  }

  /** Who answers a request. @throws ApplianceError `config_invalid` for what needs the file as it stands on disk */
  async handlersFor(name: RouteName): Promise<Handlers> {
    // Whether the agent lives has nothing to do with its file.
    if (name === 'ping') return this.#current.handlers;
    await this.#follow();
    if (this.#problem && needsCurrent.has(name)) throw this.#problem;
    return this.#current.handlers;
  }

  async #follow(): Promise<void> {
    await this.#reopening;
    const text = await readIfPresent(this.#path);
    // An operation ends with the configuration that it began with.
    if (text === this.#text || this.#current.appliance.operations.reports.running()) return;
    this.#reopening ??= this.#reopen(text).finally(() => {
      this.#reopening = undefined;
    });
    await this.#reopening;
  }

  async #reopen(text: string | undefined): Promise<void> {
    this.#text = text;
    try {
      const next = await this.#open();
      await this.#current.stop();
      this.#current = next;
      this.#problem = undefined;
    } catch (error) {
      this.#problem = asApplianceError(error);
    }
  }
}
