import { existsSync, statSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { sweep } from '../capabilities/models/add.ts';
import { modelFiles } from '../capabilities/models/layout.ts';
import { ModelRegistry } from '../capabilities/models/registry.ts';
import { isRegistryUnusable } from '../capabilities/models/registry-database.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../lib/clock.ts';
import { ApplianceError } from '../lib/errors.ts';
import type { Paths } from '../lib/paths.ts';

/** Where releases have their models when appliance.yaml does not say. */
const usual = './models';

/**
 * The models directory of an appliance and its registry, opened when it is first asked for.
 */
export class Models {
  readonly directory: string;
  readonly #clock: Clock;
  readonly #writes: boolean;
  readonly #onDisturbed: (what: string) => void;
  #open: ModelRegistry | undefined;
  #refused: { readonly state: string; readonly error: unknown } | undefined;
  /** Kept, because closing one would remove the log of the file that lies in its place now. */
  readonly #abandoned: ModelRegistry[] = [];

  /** @param options.onDisturbed told when somebody else has removed, replaced or truncated the registry under this process */
  constructor(options: {
    config: Config;
    paths: Paths;
    clock: Clock;
    writes: boolean;
    onDisturbed?: (what: string) => void;
  }) {
    this.directory = join(options.paths.lib, 'persistent', options.config.models?.directory ?? usual);
    this.#clock = options.clock;
    this.#writes = options.writes;
    this.#onDisturbed = options.onDisturbed ?? (() => undefined);
  }

  /**
   * The registry, for reading; an empty one before the first release has brought the directory.
   * @throws ApplianceError `state_corrupt`
   */
  registry(): ModelRegistry {
    this.#noticeDisturbance();
    if (this.#open && (this.#open.writable || !this.#writes)) return this.#open;
    this.#open?.close();
    this.#abandoned.at(-1)?.leaveTo();
    const state = this.#state();
    if (this.#refused?.state === state) throw this.#refused.error;
    // Making the directory would keep the first release from filling it.
    const access = this.#writes && existsSync(this.directory) ? 'write' : 'read';
    try {
      this.#open = new ModelRegistry(this.directory, { clock: this.#clock, access });
    } catch (error) {
      // Reading all of a large one says the same until somebody changes it.
      this.#refused = { state: this.#state(), error };
      throw error;
    }
    return this.#open;
  }

  /** Looks whether the registry can be used. @returns why it cannot, null when it can or there is none */
  look(): unknown {
    if (!this.#open && !existsSync(modelFiles(this.directory).registry)) return null;
    try {
      this.registry();
      return null;
    } catch (error) {
      return error;
    }
  }

  /**
   * Moves a registry away that cannot be used, so that what lies in the directory can be registered anew.
   * @returns where it lies now; null when nothing is wrong with it
   * @throws ApplianceError `state_newer`: that one is in order
   */
  async setAside(now: Date): Promise<string | null> {
    const { registry } = modelFiles(this.directory);
    try {
      if (this.registry().damage() === null) return null;
    } catch (error) {
      if (!(error instanceof ApplianceError) || error.code !== 'state_corrupt') throw error;
    }
    if (this.#open) this.#abandoned.push(this.#open);
    this.#open = undefined;
    const aside = `${registry}.damaged-${now.toISOString().replaceAll(':', '')}`;
    for (const suffix of ['-wal', '-shm', ''])
      if (existsSync(`${registry}${suffix}`)) await rename(`${registry}${suffix}`, `${aside}${suffix}`);
    return aside;
  }

  /** By what a file is known again that could not be used. */
  #state(): string {
    const found = statSync(modelFiles(this.directory).registry, { bigint: true, throwIfNoEntry: false });
    return found ? [found.dev, found.ino, found.size, found.ctimeNs].join(' ') : 'none';
  }

  /**
   * The registry, for writing.
   * @throws ApplianceError `not_deployed` where no release has brought the models directory; `state_corrupt`
   */
  writable(): ModelRegistry {
    const registry = this.registry();
    if (registry.writable) return registry;
    throw new ApplianceError('not_deployed', `there is no models directory ${this.directory} yet`, {
      left: 'nothing was registered',
      hint: 'the first deploy brings it: appliance deploy TAG, with the directory under persistent: in appliance.yaml',
    });
  }

  /**
   * Removes what an add left that was cut short. Only the one writer may call it. A damaged registry is left to whoever
   * asks for it: it must keep neither the agent from starting nor a release from being taken back.
   */
  async sweep(): Promise<void> {
    const { registry, staging } = modelFiles(this.directory);
    if (!this.#writes || !(existsSync(registry) || existsSync(staging))) return;
    try {
      await sweep(this.writable());
    } catch (error) {
      if (!isRegistryUnusable(error)) throw error;
    }
  }

  /**
   * Does something while nobody of this process has the registry open. Nothing else can come in between.
   * @param work replaces the file; it must not wait for anything
   */
  withoutRegistry(work: () => void): void {
    this.close();
    work();
  }

  close(): void {
    this.#noticeDisturbance();
    this.#open?.close();
    this.#open = undefined;
  }

  #noticeDisturbance(): void {
    const open = this.#open;
    const what = open?.disturbance() ?? null;
    if (!open || what === null) return;
    this.#open = undefined;
    this.#abandoned.push(open);
    const anew = what !== 'replaced' && open.writeAnew();
    const path = modelFiles(this.directory).registry;
    this.#onDisturbed(
      {
        removed: `${path} was removed under the running agent`,
        replaced: `${path} was replaced by another file under the running agent, which has opened that one`,
        truncated: `${path} was truncated under the running agent`,
      }[what] + (anew ? '; it was written anew from what the agent had open' : ''),
    );
  }
}
