import { join } from 'node:path';
import type { ParsedInput } from '../api/routes.ts';
import type { Plan } from '../api/schema.ts';
import { type BackupManifest, parseManifest } from '../capabilities/backups/manifest.ts';
import { readPointer } from '../capabilities/models/pointer.ts';
import { assertRestorable } from '../capabilities/releases/schema-gate.ts';
import { exists, readIfPresent } from '../host/files.ts';
import { ApplianceError } from '../lib/errors.ts';
import type { PlannedStep } from '../operations/step.ts';
import { planRecovery, planRestore, type RestoreFacts, type SnapshotDatabase } from '../recipes/restore.ts';
import type { Appliance } from './appliance.ts';
import type { Prepared } from './operations.ts';
import { recoveryPaths } from './recovery-paths.ts';
import { declaredDatabases, declaredServer, type FoundSnapshot, restoreServer, wrongVersion } from './restore-deps.ts';
import { leftOutNotes, predictRestore, restoreChanges } from './restore-preview.ts';

export type RestoreComponent = ParsedInput<'backupRestore'>['component'];

/** Turns the wish for data of a snapshot into a plan. */
export class RestorePlans {
  readonly #a: Appliance;

  constructor(appliance: Appliance) {
    this.#a = appliance;
  }

  async restore(input: ParsedInput<'backupRestore'>, signal: AbortSignal): Promise<Prepared> {
    const { store, steps, restoreSteps } = this.#a;
    const snapshot = await this.#a.backups.manifest(input.snapshot, signal);
    const facts = await this.facts(snapshot, input.component, { safety: !input.skipSafety, signal });
    await this.assertServers(facts, signal);
    const plan = planRestore(facts, { ...restoreSteps, waitHealthy: steps.waitHealthy });
    const live = store.live();
    const target = input.component === 'all' ? snapshot.id : `${snapshot.id} ${input.component}`;
    return { kind: 'restore', target, origin: live && store.get(live.release).tag, phases: [async () => plan] };
  }

  /**
   * From the files that `recoverHost` has put in place to an appliance that serves.
   * @throws ApplianceError `usage` where no recovery was begun
   */
  async recover(up: readonly PlannedStep[]): Promise<Prepared> {
    const { paths, store, restoreSteps, journal } = this.#a;
    const { directory, note } = recoveryPaths(paths);
    const text = await readIfPresent(join(directory, 'snapshot/manifest.json'));
    const [last] = journal.recent(1);
    // One that was cut short near its end was finished when this process began.
    if (text === undefined && last?.kind === 'recover' && last.result === 'done' && !(await exists(note)))
      return { kind: 'recover', target: last.target, origin: null, phases: [] };
    if (text === undefined)
      throw new ApplianceError('usage', 'no recovery was begun on this host', {
        left: 'nothing was touched',
        hint: 'begin with: ./install.sh --restore REPOSITORY --key-file FILE',
      });
    const snapshot = parseManifest(text);
    const facts = {
      databases: databasesOf(snapshot),
      declared: declaredDatabases(snapshot),
      schema: snapshot.release?.schema ?? store.databaseSchema(),
    };
    const plan = planRecovery(facts, up, restoreSteps);
    return { kind: 'recover', target: snapshot.id, origin: null, phases: [async () => plan] };
  }

  /** What a restore would do. Changes nothing. */
  async show(input: ParsedInput<'planRestore'>, signal: AbortSignal): Promise<Plan> {
    const { store, steps, restoreSteps, journal } = this.#a;
    const snapshot = await this.#a.backups.manifest(input.snapshot, signal);
    const facts = await this.facts(snapshot, input.component, { safety: !input.skipSafety, signal });
    const plan = planRestore(facts, { ...restoreSteps, waitHealthy: steps.waitHealthy });
    const live = store.live();
    return {
      kind: 'restore',
      from: live && store.get(live.release).tag,
      to: snapshot.id,
      strategy: input.component,
      policy: null,
      colour: live?.colour ?? null,
      ...(await this.#changes(snapshot, facts, input.component, signal)),
      ...predictRestore((action) => journal.usualDuration(action), plan, facts),
    };
  }

  async #changes(
    snapshot: FoundSnapshot,
    facts: RestoreFacts,
    component: RestoreComponent,
    signal: AbortSignal,
  ): Promise<Pick<Plan, 'changes' | 'notes'>> {
    const { changes, notes } = await restoreChanges(this.#a, snapshot, facts, signal);
    return { changes, notes: component === 'all' ? [...notes, ...leftOutNotes(snapshot)] : notes };
  }

  /**
   * Looks at what is there and at what a snapshot has.
   * @throws ApplianceError `backup_not_found`, `backup_newer`, `schema_gate` when the live release cannot work with the
   *   database of the snapshot
   */
  async facts(
    snapshot: FoundSnapshot,
    component: RestoreComponent,
    how: { readonly safety: boolean; readonly signal: AbortSignal; readonly liveStays?: boolean },
  ): Promise<RestoreFacts> {
    const { store, config } = this.#a;
    const wants = (one: RestoreComponent): boolean => component === 'all' || component === one;
    const live = store.live();
    const databases = wants('database') ? databasesOf(snapshot) : [];
    const declared = wants('database') ? declaredDatabases(snapshot) : [];
    const any = databases.length + declared.length > 0;
    if (component === 'database' && !any) throw nothingOf(snapshot, 'database');
    if (any && live && how.liveStays !== false) {
      const { tag, schema } = await store.manifest(live.release);
      assertRestorable({ tag, schema }, snapshot.release?.schema ?? null, snapshot);
    }
    return {
      snapshot: { id: snapshot.id, resticId: snapshot.resticId },
      databases,
      declared,
      schema: snapshot.release?.schema ?? null,
      previous: store.databaseSchema(),
      models: wants('models') || wants('registry') ? await this.#models(snapshot, component, how.signal) : null,
      config: wants('config'),
      live: live && { release: live.release, tag: store.get(live.release).tag, colour: live.colour },
      healthTimeout: config.deploy.healthTimeout,
      safety: how.safety ? this.safety() : [],
    };
  }

  /**
   * Refuses before anything is begun: with a server that is down, what was begun could not be taken back either.
   * @throws ApplianceError `restore_failed` when the server of a database does not run
   */
  async assertServers(
    { databases, declared }: Pick<RestoreFacts, 'databases' | 'declared'>,
    signal: AbortSignal,
  ): Promise<void> {
    for (const { service } of declared) await declaredServer(this.#a.backups, service, signal);
    for (const service of new Set(databases.map((database) => database.service)))
      await restoreServer(this.#a, service, signal);
  }

  /** The snapshot of today that is made before anything is replaced; it is kept until a person lets go of it. */
  safety(): PlannedStep[] {
    return this.#a.backups.plan({ kind: 'safety', protect: true, acceptMissing: true }).steps;
  }

  async #models(
    snapshot: FoundSnapshot,
    component: RestoreComponent,
    signal: AbortSignal,
  ): Promise<RestoreFacts['models']> {
    const { models, modelService, config } = this.#a;
    const part = snapshot.components.find(({ name }) => name === 'registry');
    const there = await exists(join(models.directory, 'registry.db'));
    const loose =
      component !== 'registry' && holdsModels(snapshot) ? await this.#a.backups.looseModels(snapshot, signal) : [];
    if (!part && loose.length === 0) {
      if (component === 'all') return null;
      throw nothingOf(snapshot, component === 'registry' ? 'registry of models' : 'model');
    }
    const registry = part && (component !== 'models' || !there) ? part.sha256 : null;
    const pointed = snapshot.modelInForce;
    const inForce = snapshot.models.find(({ name, version }) => name === pointed?.name && version === pointed.version);
    const wanted = component === 'registry' ? (inForce ? [inForce] : []) : snapshot.models;
    const versions: FoundSnapshot['models'] = [];
    for (const version of wanted) {
      const directory = join(models.directory, 'versions', version.name, version.version);
      if ((await wrongVersion(directory, version.sha256, signal)) !== null) versions.push(version);
    }
    const from = await readPointer(models.directory).catch(() => null);
    const broken =
      from === null || versions.some(({ name, version }) => name === from.name && version === from.version);
    return {
      versions,
      loose,
      served: loose.length > 0 && snapshot.modelInForce === null && from === null,
      registry,
      to: inForce && (registry !== null || broken) ? inForce : null,
      from,
      confirm: modelService?.patience ?? 4 * config.deploy.healthTimeout,
    };
  }
}

/** The databases of a snapshot that can be loaded beside the ones in use: those of PostgreSQL. */
function databasesOf({ components }: Pick<BackupManifest, 'components'>): SnapshotDatabase[] {
  return components.flatMap(({ name, path, sha256, bytes, rows = null }) => {
    const [, service, database] = /^database:([^/]+)\/(.+)$/.exec(name) ?? [];
    if (service === undefined || database === undefined || sha256 === null) return [];
    const accounts = components.find((one) => one.name === `roles:${service}`);
    const roles = accounts && accounts.sha256 !== null ? { path: accounts.path, sha256: accounts.sha256 } : null;
    return [{ service, database, path, sha256, bytes, rows, roles }];
  });
}

/** Whether there is anything of the models directory in it. */
const holdsModels = ({ components }: Pick<BackupManifest, 'components'>): boolean =>
  components.some(({ name, bytes }) => name === 'models' && bytes > 0);

function nothingOf({ id }: Pick<BackupManifest, 'id'>, what: string): ApplianceError {
  return new ApplianceError('backup_not_found', `snapshot ${id} holds no ${what}`, {
    left: 'nothing was touched',
    hint: `what it holds: appliance backup show ${id}`,
  });
}
