import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { type DatabaseSource, databasesIn } from '../capabilities/backups/databases.ts';
import { drillSnapshot, throwAway } from '../capabilities/backups/drill.ts';
import type { DrilledService } from '../capabilities/backups/drill-database.ts';
import { type DrillDepth, type DrillReport, DrillReports } from '../capabilities/backups/drill-report.ts';
import { findSnapshot } from '../capabilities/backups/snapshots.ts';
import { tryModel } from '../capabilities/models/gates/index.ts';
import { readPointer } from '../capabilities/models/pointer.ts';
import type { ReleaseStore } from '../capabilities/releases/store.ts';
import type { Config } from '../config/schema.ts';
import type { Engine } from '../host/docker.ts';
import type { Database } from '../host/sqlite.ts';
import type { Clock } from '../lib/clock.ts';
import { asApplianceError } from '../lib/errors.ts';
import type { Finding } from '../lib/verdict.ts';
import type { PlannedStep } from '../operations/step.ts';
import { type DrillSteps, planBackupDrill } from '../recipes/nightly.ts';
import { databaseCandidates } from './backup-deps.ts';
import type { Backups } from './backups.ts';
import { wrongVersion } from './restore-deps.ts';

export interface DrillsDeps {
  readonly config: Config;
  readonly clock: Clock;
  readonly engine: Engine;
  readonly database: Database;
  readonly store: ReleaseStore;
  readonly backups: Backups;
  /** The models directory. */
  readonly models: string;
  /** Told of each drill that has ended. */
  readonly onReport: (report: DrillReport) => void;
}

/** Drills of backups: the capability, joined with the repository, the engine and the models. */
export class Drills {
  readonly reports: DrillReports;
  readonly steps: DrillSteps;
  readonly #deps: DrillsDeps;

  constructor(deps: DrillsDeps) {
    this.#deps = deps;
    this.reports = new DrillReports(deps.database);
    const { config, clock, engine, backups } = deps;
    const { drill, limits } = config.backups;
    this.steps = {
      drillSnapshot: drillSnapshot({
        engine,
        clock,
        name: config.name,
        scratch: this.#scratch,
        limits: { memory: drill.memory, processors: limits.cpus, timeout: limits.timeout },
        repository: {
          find: async (id, signal) => findSnapshot(await backups.list(signal), id),
          restore: (wish) => backups.restore(wish),
          check: (signal) => this.#check(signal),
          markProven: (id, proof, signal) => backups.markProven(id, proof, signal),
        },
        services: () => this.#services(),
        declared: async () => (await this.#sources()).filter((source) => source.kind === 'commands'),
        models: { wrong: wrongVersion, load: (directory, about, signal) => this.#load(directory, about, signal) },
        keep: (report) => {
          this.reports.keep(report);
          deps.onReport(report);
        },
      }),
    };
  }

  /** @param id of a snapshot, or `latest` */
  plan(id: string, depth: DrillDepth): PlannedStep[] {
    const { limits } = this.#deps.config.backups;
    const predictedSeconds = this.reports.lastPassed()?.seconds ?? null;
    return planBackupDrill({ id, depth, timeout: 4 * limits.timeout, predictedSeconds }, this.steps);
  }

  /** Ends what a killed agent has left. An engine that does not answer keeps no agent from starting. */
  async sweep(): Promise<void> {
    const { engine, config } = this.#deps;
    await throwAway({ engine, name: config.name, scratch: this.#scratch }).catch(() => undefined);
  }

  get #scratch(): string {
    return join(this.#deps.backups.paths.root, 'drill');
  }

  async #sources(): Promise<DatabaseSource[]> {
    const { engine, config } = this.#deps;
    return databasesIn(await databaseCandidates(engine, config.name), config.backups.databases);
  }

  async #services(): Promise<DrilledService[]> {
    const found: DrilledService[] = [];
    for (const source of await this.#sources()) {
      if (source.kind !== 'postgres') continue;
      const detail = await this.#deps.engine.inspect(source.container);
      if (detail) found.push({ service: source.service, image: detail.imageId, user: source.user });
    }
    return found;
  }

  async #check(signal: AbortSignal): Promise<Finding> {
    const id = 'drill-repository';
    try {
      await this.#deps.backups.check({ readData: 'all', signal });
      return { id, verdict: 'pass', observed: 'every byte of the repository was read back' };
    } catch (error) {
      signal.throwIfAborted();
      const { code, message, hint } = asApplianceError(error);
      const verdict = code === 'backup_damaged' ? 'fail' : 'inconclusive';
      return { id, verdict, observed: message, expected: 'a whole repository', hint };
    }
  }

  /** Loads a restored model as a gate would: in the live image, without network, beside the same version as it serves. */
  async #load(
    directory: string,
    about: { readonly name: string; readonly version: string } | null,
    signal: AbortSignal,
  ): Promise<Finding | string> {
    const { config, engine, store, models } = this.#deps;
    if (!config.models?.trial) return 'loading models, for appliance.yaml has no models.trial';
    const live = store.live();
    const image = live ? ((await store.images(live.release))?.[config.models.service]?.id ?? null) : null;
    if (image === null) return 'loading models, for no release is live whose image could load them';
    const serving = await readPointer(models);
    const same = about !== null && serving?.name === about.name && serving.version === about.version;
    const baseline = same ? await realpath(join(models, 'current')).catch(() => null) : null;
    const trial = { config: config.models, engine, name: config.name };
    const outcome = await tryModel({ ...trial, image, candidate: directory, baseline, signal });
    const id = `drill-load-${about ? `${about.name}@${about.version}` : 'model'}`;
    const expected = 'it loads in the live image and predicts as the one in force does';
    if (outcome.kind !== 'measured')
      return { id, verdict: outcome.kind === 'broken' ? 'fail' : 'inconclusive', observed: outcome.why, expected };
    const { golden, samples } = outcome.trial.numbers;
    if (golden !== undefined && golden < 1)
      return { id, verdict: 'fail', observed: `${golden} of its predictions are those of the one in force`, expected };
    const predicted = golden === undefined ? '' : `; ${samples ?? 'all'} golden predictions are equal`;
    return { id, verdict: 'pass', observed: `it loads in the live image, without network${predicted}`, expected };
  }
}
