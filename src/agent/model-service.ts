import { utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { addVersion } from '../capabilities/models/add.ts';
import { type Closed, closeLoop, closeLoopBeside, type LoopDeps } from '../capabilities/models/loop.ts';
import { manifestName } from '../capabilities/models/manifest.ts';
import { readManifest } from '../capabilities/models/manifest-file.ts';
import { readPointer } from '../capabilities/models/pointer.ts';
import { type Expected, type Loaded, ModelProcesses, type Replica } from '../capabilities/models/processes.ts';
import type { ModelRegistry, ModelVersion } from '../capabilities/models/registry.ts';
import { readSplit } from '../capabilities/models/split.ts';
import { createSplitSteps } from '../capabilities/models/split-steps.ts';
import { createModelSteps } from '../capabilities/models/steps.ts';
import { trainModel } from '../capabilities/models/training.ts';
import { labelKeys, restartContainer } from '../capabilities/stack/index.ts';
import type { ModelsConfig } from '../config/models.ts';
import { readIfPresent } from '../host/files.ts';
import { ApplianceError } from '../lib/errors.ts';
import type { Paths } from '../lib/paths.ts';
import type { Alerting } from './alerting.ts';
import type { Compared } from './model-choice.ts';
import { type JudgementDeps, ModelJudgement } from './model-judgement.ts';
import { closesLoop, ModelWatch } from './model-watch.ts';

export interface ModelServiceDeps extends Omit<JudgementDeps, 'models' | 'directory'> {
  readonly registry: () => ModelRegistry;
  readonly alerting: Pick<Alerting, 'raise' | 'resolve'>;
  /** Kind of the operation that runs right now; null when none does. */
  readonly running: () => string | null;
  /** Told when running processes have what lies on the disk. */
  readonly onClosed: () => void;
}

/** For what happens outside of an operation. */
const quiet = { operation: 'models', progress: () => undefined } as const;

/** The models of one appliance beside its running processes: what the models capability needs of the machine, put together. */
export class ModelService {
  readonly #deps: ModelServiceDeps;
  readonly #models: ModelsConfig;
  readonly #processes: ModelProcesses;
  readonly #watch: ModelWatch;
  readonly directory: string;
  readonly judgement: ModelJudgement;

  private constructor(deps: ModelServiceDeps, models: ModelsConfig) {
    this.#deps = deps;
    this.#models = models;
    this.directory = modelsDirectory(deps.paths, models);
    this.judgement = new ModelJudgement({ ...deps, models, directory: this.directory });
    this.#processes = new ModelProcesses({
      config: models,
      clock: deps.clock,
      replicas: () => this.#replicas(),
      environment: async () => {
        const live = deps.store.live();
        return live ? deps.store.environment(live.release) : {};
      },
    });
    this.#watch = new ModelWatch({
      ...deps,
      directory: this.directory,
      live: () => deps.store.live() !== null,
      scanOptions: (signal) => this.judgement.scanOptions(signal),
      close: (sha256, signal) => this.#closeBeside(sha256, signal),
      loaded: async (signal) => (await this.#loaded(signal)).map(({ sha256 }) => sha256),
      confirm: models.confirm,
    });
  }

  /** @returns undefined where appliance.yaml has no section `models` */
  static of(deps: ModelServiceDeps): ModelService | undefined {
    return deps.config.models && new ModelService(deps, deps.config.models);
  }

  /** The manifest in force, as it was last found good; null when there is none that can be used. */
  async current(): Promise<{ name: string; version: string; sha256: string } | null> {
    const { active } = this.#watch;
    if (active) return { name: active.manifest.name, version: active.manifest.version, sha256: active.digest };
    // Nobody watches yet, or this process only reads.
    const found = await this.#onDisk();
    return found && { name: found.manifest.name, version: found.manifest.version, sha256: found.digest };
  }

  /** Changes since the last call, and how long those took that were confirmed. */
  takeNoticed(): { readonly count: number; readonly seconds: readonly number[] } {
    return this.#watch.takeNoticed();
  }

  /** Notices other manifests until the signal aborts. Never throws. */
  follow(signal: AbortSignal): Promise<void> {
    return this.#watch.follow(signal);
  }

  steps() {
    const { clock, store, registry } = this.#deps;
    const loaded = (signal: AbortSignal) => this.#loaded(signal);
    const common = {
      directory: this.directory,
      registry,
      live: () => store.live() !== null,
      judge: (since: number, signal: AbortSignal) => this.judgement.judge(since, signal),
    };
    return {
      trainModel: this.#trainStep(),
      ...createSplitSteps({ ...common, loaded }),
      ...createModelSteps({
        ...common,
        clock,
        gates: (candidate, baseline, context) => this.judgement.gates(candidate, baseline, context),
        close: (sha256, signal, progress) => this.close(sha256, signal, progress),
        loaded: async (signal) => (await loaded(signal)).map(({ sha256 }) => sha256),
      }),
    };
  }

  #trainStep() {
    const { clock, engine, paths, registry } = this.#deps;
    return trainModel({
      config: this.#models,
      processes: this.#processes,
      clock,
      scratch: paths.lib,
      archive: ({ id }, path, to, signal) => engine.archive(id, path, to, signal),
      add: async (source, { actor, source: marker }, signal) => {
        const requirements = await this.judgement.limits();
        const { version } = await addVersion(registry(), {
          source,
          requirements,
          label: marker,
          change: { actor },
          uid: 0,
          signal,
        });
        return version;
      },
    });
  }

  registry(): ModelRegistry {
    return this.#deps.registry();
  }

  /** Numbers that lie beside a manifest. */
  async metricsOf(manifest: string): Promise<Readonly<Record<string, number>>> {
    const found = z.record(z.string(), z.unknown()).catch({});
    const metrics = found.parse(JSON.parse((await readIfPresent(join(dirname(manifest), 'metrics.json'))) ?? '{}'));
    const numbers = Object.entries(metrics).filter((entry): entry is [string, number] => typeof entry[1] === 'number');
    return Object.fromEntries(numbers);
  }

  /** The version in force by the pointer, where the registry knows it. */
  async inForce(): Promise<ModelVersion | null> {
    const pointer = await readPointer(this.directory);
    return (pointer && this.#deps.registry().version(pointer.name, pointer.version)) ?? null;
  }

  /** The version that has a share of the requests; its record is null where the registry does not know it. */
  async split(): Promise<Compared | null> {
    const split = await readSplit(this.directory);
    return split && { split, version: this.#deps.registry().version(split.name, split.version) ?? null };
  }

  get splits(): boolean {
    return this.#models.split;
  }

  /** Lets the running processes load a manifest and the candidate beside it, and proves both. Part of an operation. */
  async close(sha256: string, signal: AbortSignal, progress?: (text: string) => void): Promise<Closed> {
    return closeLoop(this.#loop(), await this.#expected(sha256), signal, progress);
  }

  /** The same beside operations, whatever they do. */
  #closeBeside(sha256: string, signal: AbortSignal): Promise<Closed> {
    // Nothing is restarted beside one: a deploy starts processes that load what is in force.
    const loop = this.#loop((inner) => this.#watch.operationEnds(() => true, inner));
    const read = async (inner: AbortSignal): Promise<Expected> => {
      await this.#watch.operationEnds(closesLoop, inner);
      return this.#expected(sha256);
    };
    return closeLoopBeside(loop, read, signal);
  }

  async #expected(sha256: string): Promise<Expected> {
    return this.#models.split ? { sha256, candidate: await readSplit(this.directory) } : { sha256 };
  }

  /** @param wait resolves when a process may be restarted */
  #loop(wait: (signal: AbortSignal) => Promise<void> = async () => undefined): LoopDeps {
    return {
      processes: this.#processes,
      clock: this.#deps.clock,
      confirm: this.#models.confirm,
      touch: (signal) => this.#touch(signal),
      settled: async (signal) => {
        await wait(signal);
        return (await this.#onDisk())?.digest ?? null;
      },
      restart: (replica, signal) => this.#restart(replica, signal),
    };
  }

  /**
   * Restarts processes, one after the other, whose directory of models is no longer the one of this host: a mount stays with
   * a directory that was removed, whatever lies at its path by then.
   * @returns how many were restarted
   */
  async remount(signal: AbortSignal, progress: (text: string) => void): Promise<number> {
    let restarted = 0;
    for (const replica of await this.#replicas()) {
      const pid = (await this.#deps.engine.inspect(replica.id))?.pid;
      const mounts = pid ? await readIfPresent(`/proc/${pid}/mountinfo`).catch(() => undefined) : undefined;
      if (!mounts?.includes('//deleted ')) continue;
      progress(`${replica.name} starts again: its directory of models was removed`);
      await this.#restart(replica, signal);
      restarted += 1;
    }
    return restarted;
  }

  /** Running processes that load the model. */
  replicas(): Promise<Replica[]> {
    return this.#replicas();
  }

  /** What each running process says it has loaded. Never throws but for the signal. */
  loaded(signal: AbortSignal): Promise<Loaded[]> {
    return this.#loaded(signal);
  }

  /** Asks one process, logged in. @param body posted as JSON; undefined: a GET @throws as `ModelProcesses.post` */
  ask(replica: Replica, path: string, body: unknown, signal: AbortSignal) {
    return body === undefined
      ? this.#processes.get(replica, path, signal)
      : this.#processes.post(replica, path, body, signal);
  }

  get bake(): number {
    return this.#models.bake;
  }

  /** Milliseconds in which processes have loaded a model or have been restarted, one after the other. */
  get patience(): number {
    return 4 * this.#models.confirm + 4 * this.#deps.config.deploy.healthTimeout;
  }

  async #loaded(signal: AbortSignal): Promise<Loaded[]> {
    return this.#processes.loaded(await this.#replicas(), signal);
  }

  async #replicas(): Promise<Replica[]> {
    const { store, engine, config } = this.#deps;
    const live = store.live();
    if (!live) return [];
    const all = await engine.containers([
      `${labelKeys.name}=${config.name}`,
      `${labelKeys.service}=${this.#models.service}`,
      `${labelKeys.colour}=${live.colour}`,
    ]);
    const running = all.filter(({ state, labels }) => state === 'running' && labels[labelKeys.role] === 'app');
    return Promise.all(
      running.map(async ({ id, name }) => {
        const detail = await engine.inspect(id);
        return { id, name, address: Object.values(detail?.addresses ?? {}).find((text) => text !== '') };
      }),
    );
  }

  async #restart({ id }: Replica, signal: AbortSignal): Promise<void> {
    const { stack, config, clock } = this.#deps;
    await restartContainer(stack, id, config.deploy.healthTimeout, { ...quiet, signal, clock });
  }

  /** The manifest that a process would load which starts now; null: none that can be used. */
  #onDisk() {
    const pointed = join(this.directory, 'current');
    return readManifest(pointed).catch(() => readManifest(this.directory).catch(() => null));
  }

  async #touch(signal: AbortSignal): Promise<void> {
    if (this.#watch.active) return this.#watch.touch(signal);
    const now = new Date(this.#deps.clock.now());
    const pointed = join(this.directory, 'current', manifestName);
    await utimes(pointed, now, now).catch(() => utimes(join(this.directory, manifestName), now, now));
  }
}

/** Where the bind mount of the models lies on the host. */
export function modelsDirectory(paths: Paths, { directory }: Pick<ModelsConfig, 'directory'>): string {
  return join(paths.lib, 'persistent', directory);
}

/** @throws ApplianceError `config_invalid` */
export function requireModels(service: ModelService | undefined): ModelService {
  if (service) return service;
  throw new ApplianceError('config_invalid', 'appliance.yaml has no section models', {
    left: 'nothing was touched',
    hint: 'say there which service loads the model (docs/guide/models.md)',
  });
}
