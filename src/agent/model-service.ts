import { utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { addVersion } from '../capabilities/models/add.ts';
import { ManifestCache } from '../capabilities/models/cache/manifest-cache.ts';
import { type Closed, closeLoop } from '../capabilities/models/loop.ts';
import { manifestName } from '../capabilities/models/manifest.ts';
import { readManifest } from '../capabilities/models/manifest-file.ts';
import { readPointer, tidyPointers } from '../capabilities/models/pointer.ts';
import { ModelProcesses, type Replica } from '../capabilities/models/processes.ts';
import type { ModelRegistry, ModelVersion } from '../capabilities/models/registry.ts';
import { createModelSteps } from '../capabilities/models/steps.ts';
import { trainModel } from '../capabilities/models/training.ts';
import { labelKeys, restartContainer } from '../capabilities/stack/index.ts';
import type { ModelsConfig } from '../config/models.ts';
import { readIfPresent } from '../host/files.ts';
import { ApplianceError, asApplianceError } from '../lib/errors.ts';
import type { Paths } from '../lib/paths.ts';
import type { Alerting } from './alerting.ts';
import { type JudgementDeps, ModelJudgement } from './model-judgement.ts';

export interface ModelServiceDeps extends Omit<JudgementDeps, 'models' | 'directory'> {
  readonly registry: () => ModelRegistry;
  readonly alerting: Pick<Alerting, 'raise' | 'resolve'>;
  /** Kind of the operation that runs right now; null when none does. */
  readonly running: () => string | null;
  /** Told when running processes have what lies on the disk. */
  readonly onClosed: () => void;
}

/** Milliseconds between two looks at whether an operation has ended, before processes are restarted beside it. */
const turnPause = 500;
/** For what happens outside of an operation. */
const quiet = { operation: 'models', progress: () => undefined } as const;

/** The models of one appliance beside its running processes: what the models capability needs of the machine, put together. */
export class ModelService {
  readonly #deps: ModelServiceDeps;
  readonly #models: ModelsConfig;
  readonly #processes: ModelProcesses;
  readonly #cache: ManifestCache;
  readonly directory: string;
  readonly judgement: ModelJudgement;
  /** Lifetime of `follow`. */
  #signal: AbortSignal | undefined;
  #noticed: { count: number; seconds: number[] } = { count: 0, seconds: [] };

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
    this.#cache = new ManifestCache({
      directory: this.directory,
      clock: deps.clock,
      onChange: ({ before, now, seenAt }) => {
        if (before) this.#noticed.count += 1;
        // Not awaited: it may wait for an operation of many hours, and the next change must be noticed meanwhile.
        void this.#changed(now.digest, seenAt);
      },
      onProblem: (why) => this.#problem(why),
    });
  }

  /** @returns undefined where appliance.yaml has no section `models` */
  static of(deps: ModelServiceDeps): ModelService | undefined {
    return deps.config.models && new ModelService(deps, deps.config.models);
  }

  /** The manifest in force, as it was last found good; null when there is none that can be used. */
  async current(): Promise<{ name: string; version: string; sha256: string } | null> {
    const { active } = this.#cache;
    if (active) return { name: active.manifest.name, version: active.manifest.version, sha256: active.digest };
    // Nobody watches yet, or this process only reads.
    const pointed = join(this.directory, 'current');
    const found = await readManifest(pointed).catch(() => readManifest(this.directory).catch(() => null));
    return found && { name: found.manifest.name, version: found.manifest.version, sha256: found.digest };
  }

  /** Changes since the last call, and how long those took that were confirmed. */
  takeNoticed(): { readonly count: number; readonly seconds: readonly number[] } {
    const taken = this.#noticed;
    this.#noticed = { count: 0, seconds: [] };
    return taken;
  }

  /** Notices other manifests until the signal aborts. Never throws. */
  async follow(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    await tidyPointers(this.directory).catch(() => undefined);
    await this.#cache.follow(signal);
  }

  steps() {
    const { clock, store, registry } = this.#deps;
    return {
      trainModel: this.#trainStep(),
      ...createModelSteps({
        directory: this.directory,
        clock,
        registry,
        live: () => store.live() !== null,
        gates: (candidate, baseline, context) => this.judgement.gates(candidate, baseline, context),
        close: (sha256, signal, progress) => this.close(sha256, signal, progress),
        judge: (since, signal) => this.judgement.judge(since, signal),
        loaded: async (signal) =>
          (await this.#processes.loaded(await this.#replicas(), signal)).map(({ sha256 }) => sha256),
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

  /** Lets the running processes load a manifest, and proves it. */
  close(sha256: string, signal: AbortSignal, progress?: (text: string) => void): Promise<Closed> {
    const { clock } = this.#deps;
    const loop = {
      processes: this.#processes,
      clock,
      confirm: this.#models.confirm,
      touch: (inner: AbortSignal) => this.#touch(inner),
      restart: (replica: Replica, inner: AbortSignal) => this.#restart(replica, inner),
    };
    return closeLoop(loop, sha256, signal, progress);
  }

  get bake(): number {
    return this.#models.bake;
  }

  /** Milliseconds in which processes have loaded a model or have been restarted, one after the other. */
  get patience(): number {
    return 4 * this.#models.confirm + 4 * this.#deps.config.deploy.healthTimeout;
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
    const { stack, config, clock, running } = this.#deps;
    // Beside a deploy nothing is restarted: it starts processes that load what is in force.
    for (let kind = running(); kind !== null && !kind.startsWith('model-'); kind = running())
      await clock.sleep(turnPause, signal);
    await restartContainer(stack, id, config.deploy.healthTimeout, { ...quiet, signal, clock });
  }

  async #touch(signal: AbortSignal): Promise<void> {
    if (this.#cache.active) return this.#cache.touch(signal);
    const now = new Date(this.#deps.clock.now());
    const pointed = join(this.directory, 'current', manifestName);
    await utimes(pointed, now, now).catch(() => utimes(join(this.directory, manifestName), now, now));
  }

  /** Somebody has put another manifest in force: the loop is closed, or somebody is told that it is not. */
  async #changed(digest: string, seenAt: number): Promise<void> {
    const { store, running, alerting, clock, onClosed } = this.#deps;
    const signal = this.#signal ?? AbortSignal.abort();
    const current = (): boolean => this.#cache.active?.digest === digest && store.live() !== null;
    try {
      alerting.resolve('ModelNotLoaded');
      // A promotion closes its own loop.
      while (running()?.startsWith('model-')) await clock.sleep(turnPause, signal);
      if (!current()) return;
      await this.close(digest, signal);
      this.#noticed.seconds.push((clock.monotonic() - seenAt) / 1_000);
      onClosed();
    } catch (error) {
      // A newer change has taken its place, and tells for itself.
      if (signal.aborted || !current()) return;
      const { message, hint } = asApplianceError(error);
      alerting.raise({ name: 'ModelNotLoaded', severity: 'critical', summary: message, hint });
    }
  }

  #problem(why: string | null): void {
    const { alerting } = this.#deps;
    if (why === null) alerting.resolve('ModelManifestUnusable');
    else
      alerting.raise({
        name: 'ModelManifestUnusable',
        severity: 'warning',
        summary: `the model before it stays in force: ${why}`,
        hint: 'put a whole version in its place: appliance models promote VERSION',
      });
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
