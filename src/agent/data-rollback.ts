import type { Plan } from '../api/schema.ts';
import { canWorkWith } from '../capabilities/releases/schema-gate.ts';
import type { ReleaseRecord } from '../capabilities/releases/store.ts';
import { ApplianceError, asApplianceError } from '../lib/errors.ts';
import type { PlannedStep } from '../operations/step.ts';
import { planRestore, type RestoreFacts } from '../recipes/restore.ts';
import { type RollbackFacts, rollbackPath } from '../recipes/rollback.ts';
import { dataDowntimeSteps, planDataRollback } from '../recipes/rollback-data.ts';
import type { Appliance } from './appliance.ts';
import type { FoundSnapshot } from './restore-deps.ts';
import { RestorePlans } from './restore-plans.ts';
import { predictRestore, restoreChanges } from './restore-preview.ts';

/** Snapshots that are looked at before nobody waits any longer. */
const mostLookedAt = 60;
/** Milliseconds that a refusal may take to name a snapshot that would help. */
const patience = 20_000;

/** The way back to a release whose data must come with it (S1-65). */
export class DataRollback {
  readonly #a: Appliance;
  readonly #restores: RestorePlans;

  constructor(appliance: Appliance) {
    this.#a = appliance;
    this.#restores = new RestorePlans(appliance);
  }

  /**
   * @param wanted id of a snapshot, or `newest`
   * @throws ApplianceError `schema_gate` when the release cannot work with the snapshot; `backup_not_found`
   */
  async plan(
    rollback: RollbackFacts,
    wanted: string,
    signal: AbortSignal,
  ): Promise<{ readonly steps: PlannedStep[]; readonly snapshot: FoundSnapshot; readonly restore: RestoreFacts }> {
    const { steps, restoreSteps } = this.#a;
    const { release } = rollback;
    const snapshot =
      wanted === 'newest' ? await this.#newest(release, signal) : await this.#a.backups.manifest(wanted, signal);
    if (!canWorkWith(release.schema, snapshot.release?.schema ?? null))
      throw new ApplianceError(
        'schema_gate',
        `the database of ${snapshot.id} is at schema ${snapshot.release?.schema?.version}; ${release.tag} was built for schema ${release.schema?.version}`,
        {
          left: 'nothing was touched; the current release goes on serving',
          hint: `let the newest one that fits be found: appliance rollback ${release.tag} --restore-data`,
        },
      );
    const restore = await this.#restores.facts(snapshot, 'database', { safety: true, signal, liveStays: false });
    await this.#restores.assertServers(restore, signal);
    const all = { ...steps, ...restoreSteps };
    // What is live already gets its data alone.
    const plan =
      rollbackPath(rollback) === 'none' ? planRestore(restore, all) : planDataRollback({ rollback, restore }, all);
    return { steps: plan, snapshot, restore };
  }

  /** What it would do. */
  async show(rollback: RollbackFacts, wanted: string, signal: AbortSignal): Promise<Plan> {
    const { steps, snapshot, restore } = await this.plan(rollback, wanted, signal);
    const { live } = rollback.observed;
    return {
      kind: 'rollback',
      from: live?.tag ?? null,
      to: rollback.release.tag,
      strategy: `with the data of ${snapshot.id}`,
      policy: null,
      colour: null,
      ...(await restoreChanges(this.#a, snapshot, restore, signal)),
      ...predictRestore(
        (action) => this.#a.journal.usualDuration(action),
        steps,
        restore,
        rollbackPath(rollback) === 'none' ? undefined : dataDowntimeSteps,
      ),
    };
  }

  /** Adds to a refusal which snapshot would help, where one can be found in a moment. */
  async explain(refusal: unknown, target: ReleaseRecord): Promise<ApplianceError> {
    const error = asApplianceError(refusal);
    if (error.code !== 'schema_gate') return error;
    try {
      const release = await this.#a.observer.releaseFacts(target.id);
      const { id, time } = await this.#newest(release, AbortSignal.timeout(patience));
      return new ApplianceError(error.code, error.message, {
        left: error.left,
        hint: `snapshot ${id} of ${time} is one that ${target.tag} can work with; what was written since then would be lost from the database, and kept in a safety snapshot: appliance rollback ${target.tag} --restore-data=${id}`,
        cause: error,
      });
    } catch {
      return error;
    }
  }

  /** The newest snapshot whose database the release can work with. */
  async #newest({ tag, schema }: RollbackFacts['release'], signal: AbortSignal): Promise<FoundSnapshot> {
    const { backups } = this.#a;
    const snapshots = (await backups.list(signal)).filter(({ newer, damaged }) => !newer && !damaged);
    for (const snapshot of snapshots.slice(0, mostLookedAt)) {
      const manifest = await backups.manifestOf(snapshot, signal);
      const holds = manifest.components.some(({ name }) => name.startsWith('database:'));
      if (holds && canWorkWith(schema, manifest.release?.schema ?? null))
        return { ...manifest, resticId: snapshot.resticId };
    }
    throw new ApplianceError('backup_not_found', `no snapshot has a database that ${tag} can work with`, {
      left: 'nothing was touched; the current release goes on serving',
      hint: 'what there is: appliance backup list; appliance backup show ID says the schema of each',
    });
  }
}
