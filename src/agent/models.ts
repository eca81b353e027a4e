import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { sweep } from '../capabilities/models/add.ts';
import { modelFiles } from '../capabilities/models/layout.ts';
import { ModelRegistry } from '../capabilities/models/registry.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../lib/errors.ts';
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
  #open: ModelRegistry | undefined;

  constructor(options: { config: Config; paths: Paths; clock: Clock; writes: boolean }) {
    this.directory = join(options.paths.lib, 'persistent', options.config.models?.directory ?? usual);
    this.#clock = options.clock;
    this.#writes = options.writes;
  }

  /**
   * The registry, for reading; an empty one before the first release has brought the directory.
   * @throws ApplianceError `state_corrupt`
   */
  registry(): ModelRegistry {
    if (this.#open && (this.#open.writable || !this.#writes)) return this.#open;
    this.#open?.close();
    // Making the directory would keep the first release from filling it.
    const access = this.#writes && existsSync(this.directory) ? 'write' : 'read';
    this.#open = new ModelRegistry(this.directory, { clock: this.#clock, access });
    return this.#open;
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
      if (asApplianceError(error).code !== 'state_corrupt') throw error;
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
    this.#open?.close();
    this.#open = undefined;
  }
}
