import { assess } from '../capabilities/checks/analysis/index.ts';
import { runGates, tryModel } from '../capabilities/models/gates/index.ts';
import { readManifest } from '../capabilities/models/manifest-file.ts';
import type { ModelVersion } from '../capabilities/models/registry.ts';
import { type ScanOptions, unpackBounds } from '../capabilities/models/scan/index.ts';
import type { ReleaseStore } from '../capabilities/releases/store.ts';
import { colourHealth, type StackDeps } from '../capabilities/stack/index.ts';
import type { ModelsConfig } from '../config/models.ts';
import type { Policy } from '../config/policy.ts';
import { loadPolicy } from '../config/policy-load.ts';
import type { Config } from '../config/schema.ts';
import type { Engine } from '../host/docker.ts';
import type { Clock } from '../lib/clock.ts';
import type { Paths } from '../lib/paths.ts';
import type { Eyes } from './rollout-analysis.ts';

export interface JudgementDeps {
  readonly config: Config;
  readonly models: ModelsConfig;
  /** The models directory. */
  readonly directory: string;
  readonly paths: Paths;
  readonly clock: Clock;
  readonly engine: Engine;
  readonly store: ReleaseStore;
  readonly stack: StackDeps;
  readonly eyes: Eyes;
}

/** For what happens outside of an operation. */
const quiet = { operation: 'models', progress: () => undefined } as const;

/** Without a policy: what takes a model back. */
const plain: Pick<Policy, 'gates' | 'rollback' | 'investigate'> = {
  gates: [],
  rollback: [
    { id: 'S0-42', metric: 'errors', above: 0.01, for: 0 },
    { id: 'S0-44', metric: 'accuracy', against: 'baseline', below: -0.1, for: 0 },
  ],
  investigate: [],
};

/** Whether a version may serve, and whether it may go on serving. */
export class ModelJudgement {
  readonly #deps: JudgementDeps;

  constructor(deps: JudgementDeps) {
    this.#deps = deps;
  }

  scanOptions(signal: AbortSignal): ScanOptions {
    const own = new Set(this.#deps.models.classes);
    return { own, scratch: this.#deps.paths.lib, bounds: unpackBounds, signal };
  }

  /** Whose limits a version must keep: the policy of deploys, else the first whose alerts are raised. */
  async limits(): Promise<Policy['models'] | undefined> {
    const { config, paths } = this.#deps;
    const name = config.deploy.policy ?? config.monitoring?.policies?.[0];
    return name === undefined ? undefined : (await loadPolicy(name, paths.config)).policy.models;
  }

  /** What a model is watched by: the policy of deploys, if there is one. */
  async policy(): Promise<Policy | undefined> {
    const { config, paths } = this.#deps;
    const name = config.deploy.policy;
    return name === undefined ? undefined : (await loadPolicy(name, paths.config)).policy;
  }

  /** Everything that a version must pass before it may serve. */
  async gates(
    candidate: ModelVersion,
    baseline: ModelVersion | null,
    { signal, progress }: { readonly signal: AbortSignal; progress(text: string): void },
  ) {
    const { engine, config, store } = this.#deps;
    const live = store.live();
    const images = live && (await store.images(live.release));
    const image = images?.[this.#deps.models.service]?.id ?? null;
    const limits = (await this.limits())?.gates ?? [];
    // A process may have another model in force than the registry knows: the flat directory that a release brought.
    const before = baseline?.directory ?? (await this.#flatDirectory());
    return runGates(
      { ...candidate, libraries: candidate.metadata.libraries },
      {
        limits,
        scan: this.scanOptions(signal),
        compared: before !== null,
        progress,
        trial: () =>
          tryModel({
            config: this.#deps.models,
            engine,
            name: config.name,
            image,
            candidate: candidate.directory,
            baseline: before,
            signal,
          }),
      },
    );
  }

  async #flatDirectory(): Promise<string | null> {
    const found = await readManifest(this.#deps.directory).catch(() => null);
    return found && this.#deps.directory;
  }

  /** What the traffic says since a time. */
  async judge(since: number, signal: AbortSignal) {
    const { store, clock, eyes, stack } = this.#deps;
    const live = store.live();
    if (!live) return { gates: [], rollback: [] };
    const subject = { tag: store.get(live.release).tag, colour: live.colour };
    const policy = (await this.policy()) ?? plain;
    const { healthy, of } = await colourHealth(stack, live, { ...quiet, signal, clock });
    eyes.health.record(subject.tag, clock.now(), of === 0 ? 0 : healthy / of);
    // The same release before the promotion is what it is compared with.
    const about = { minRequests: 0, rolloutSince: since, since, now: clock.now(), alone: true };
    return assess({ policy, candidate: subject, baseline: subject, ...about }, eyes.read, signal);
  }
}
