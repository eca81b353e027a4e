import type { ParsedInput } from '../api/routes.ts';
import { isRegistryUnusable } from '../capabilities/models/registry-database.ts';
import { assertLiveKeepsReading, assertReadable, breaksLive } from '../capabilities/releases/schema-gate.ts';
import type { ReleaseRecord } from '../capabilities/releases/store.ts';
import { assertTag } from '../host/git.ts';
import { timestamp } from '../lib/clock.ts';
import { ApplianceError } from '../lib/errors.ts';
import type { Actor } from '../operations/journal.ts';
import type { Planner } from '../operations/runner.ts';
import { type DeployFacts, planDeploy, planResolve, type Strategy } from '../recipes/deploy.ts';
import { planDrill } from '../recipes/drill.ts';
import type { ReleaseFacts } from '../recipes/facts.ts';
import { planRollback, type RollbackFacts } from '../recipes/rollback.ts';
import { planDown, planRestart, planUp } from '../recipes/stack.ts';
import type { Appliance } from './appliance.ts';
import { DataRollback } from './data-rollback.ts';
import { backupBefore } from './deploy-backup.ts';
import { ModelPlans } from './model-plans.ts';
import type { Prepared } from './operations.ts';
import { RestorePlans } from './restore-plans.ts';
import { type Way, wayOf } from './rollout-policy.ts';

/** Turns wishes into plans: gathers the facts, asks the pure planners. */
export class Plans {
  readonly #a: Appliance;

  constructor(appliance: Appliance) {
    this.#a = appliance;
  }

  async deploy(input: ParsedInput<'deploy'>, actor: Actor, signal: AbortSignal): Promise<Prepared> {
    assertTag(input.tag);
    await this.#a.checks.assertSequences();
    const way = await this.way(input);
    const { people } = this.#a;
    const roles = await people.roles(input.policy);
    if (roles.length > 0) await people.assertApproved(input, roles, signal);
    const { steps, store, observer, audit, clock } = this.#a;
    if (input.skipBackup)
      audit.append(timestamp(clock.now()), actor, 'deploy', input.tag, 'without a backup before it');
    const resolve: Planner = async () => planResolve(input, steps);
    const shift: Planner = async () => {
      const release = await observer.releaseFacts(store.lastResolved(input.tag).id);
      const { skipBackup } = input;
      return planDeploy(await this.deployFacts(release, way, { actor, skipBackup, approvals: roles }), steps);
    };
    return { kind: 'deploy', target: input.tag, origin: this.#liveTag(), phases: [resolve, shift] };
  }

  async rollback(input: ParsedInput<'rollback'>, actor: Actor, signal: AbortSignal): Promise<Prepared> {
    const target = this.rollbackTarget(input.tag);
    if (input.restoreData !== undefined) {
      const wish = await this.rollbackFacts(target, actor, { withData: true });
      const { steps } = await new DataRollback(this.#a).plan(wish, input.restoreData, signal);
      return { kind: 'rollback', target: target.tag, origin: this.#liveTag(), phases: [async () => steps] };
    }
    const facts = await this.rollbackFacts(target, actor).catch(async (refusal: unknown) => {
      throw await new DataRollback(this.#a).explain(refusal, target);
    });
    const restoring = await new ModelPlans(this.#a).restoring(target.tag, actor).catch(withoutRegistry);
    const steps = [...planRollback(facts, this.#a.steps), ...restoring];
    return { kind: 'rollback', target: target.tag, origin: this.#liveTag(), phases: [async () => steps] };
  }

  /** What makes the machine what the records say, for a host that was made from a snapshot. */
  async recover(actor: Actor): Promise<Prepared> {
    const up = await this.up({ core: false, wait: 0 }, actor);
    const [plan] = up.phases;
    return new RestorePlans(this.#a).recover(plan ? await plan(AbortSignal.timeout(60_000)) : []);
  }

  async up(input: ParsedInput<'up'>, actor: Actor): Promise<Prepared> {
    const { observer, config, steps } = this.#a;
    const observed = await observer.observe();
    const { live } = observed;
    if (input.core && !live) {
      throw new ApplianceError('not_deployed', 'nothing is live that core services could be taken over from', {
        left: 'nothing was touched',
        hint: 'deploy a release first: appliance deploy TAG',
      });
    }
    const release = live && (await observer.releaseFacts(live.release));
    const topologies = live && (await observer.topologies(live.release));
    const schemaToday = this.#a.store.databaseSchema()?.version ?? null;
    const wish = { release, observed, topologies, schemaToday, replaceCore: input.core, actor: actor.user, config };
    const plan = planUp(wish, steps);
    return { kind: 'up', target: live?.tag ?? null, origin: live?.tag ?? null, phases: [async () => plan] };
  }

  async down(input: ParsedInput<'down'>): Promise<Prepared> {
    const { observer, config, steps } = this.#a;
    const plan = planDown({ observed: await observer.observe(), volumes: input.volumes, config }, steps);
    return { kind: 'down', target: null, origin: this.#liveTag(), phases: [async () => plan] };
  }

  async restart(input: ParsedInput<'restart'>): Promise<Prepared> {
    const { observer, config, steps } = this.#a;
    const services = await observer.restartable(input.service);
    const plan = planRestart({ services, config }, steps);
    return { kind: 'restart', target: input.service ?? null, origin: this.#liveTag(), phases: [async () => plan] };
  }

  /** @throws ApplianceError `not_deployed`, `service_not_found` */
  async drill(input: ParsedInput<'alertsDrill'>): Promise<Prepared> {
    const { store, config, observer, steps } = this.#a;
    const live = store.live();
    if (!live) {
      throw new ApplianceError('not_deployed', 'nothing is live that could be stopped', {
        left: 'nothing was touched',
        hint: 'deploy a release first: appliance deploy TAG',
      });
    }
    const [service = ''] = await observer.restartable(input.service ?? config.routes[0]?.service);
    if (config.services[service]?.role !== 'app') {
      throw new ApplianceError('service_not_found', `${service} is no app service; a drill stops nothing else`, {
        left: 'nothing was touched',
        hint: 'appliance ps lists the services',
      });
    }
    const facts = { service, colour: live.colour, healthTimeout: config.deploy.healthTimeout };
    const plan = planDrill(facts, steps);
    return { kind: 'drill', target: service, origin: this.#liveTag(), phases: [async () => plan] };
  }

  prune(): Prepared {
    const { steps } = this.#a;
    const step = steps.retain.plan(
      {},
      { title: 'remove images that no release needs', cause: 'asked for', deadline: 300_000 },
    );
    return { kind: 'prune', target: null, origin: this.#liveTag(), phases: [async () => [step]] };
  }

  /** How a release is brought into service: what the command says, else what appliance.yaml says. */
  async way({ strategy, policy }: Pick<ParsedInput<'deploy'>, 'strategy' | 'policy'>): Promise<Way> {
    return wayOf({ strategy, policy }, this.#a);
  }

  async deployFacts(
    release: ReleaseFacts,
    { strategy, policy }: Way,
    {
      actor,
      skipBackup,
      approvals,
    }: { readonly actor: Actor; readonly skipBackup: boolean; readonly approvals: DeployFacts['approvals'] },
  ): Promise<DeployFacts> {
    const { observer, config, store } = this.#a;
    return {
      release,
      observed: await observer.observe(),
      schemaToday: store.databaseSchema()?.version ?? null,
      liveLosesDatabase: await this.schemaGate(release, strategy),
      topologies: await observer.topologies(release.id),
      strategy,
      policy,
      actor: actor.user,
      config,
      approvals,
      backup: skipBackup ? [] : backupBefore(this.#a, release),
    };
  }

  /** @param how.withData its data come with it, so that those of today need not be readable */
  async rollbackFacts(
    target: ReleaseRecord,
    actor: Actor,
    how: { readonly withData: boolean } = { withData: false },
  ): Promise<RollbackFacts> {
    const { observer, config } = this.#a;
    const release = await observer.releaseFacts(target.id);
    if (!how.withData) this.#assertReadable(release);
    return {
      release,
      observed: await observer.observe(),
      topologies: await observer.topologies(target.id),
      actor: actor.user,
      config,
    };
  }

  rollbackTarget(tag: string | undefined): ReleaseRecord {
    const { store } = this.#a;
    if (!store.live()) {
      throw new ApplianceError('not_deployed', 'nothing is deployed yet', {
        hint: 'deploy a release first: appliance deploy TAG',
      });
    }
    if (tag !== undefined) {
      assertTag(tag);
      const release = store.find(tag);
      if (release.deployedAt !== null) return release;
      throw new ApplianceError('release_not_found', `${tag} was never in service, so there is no way back to it`, {
        left: 'nothing was touched',
        hint: `bring it into service: appliance deploy ${tag}`,
      });
    }
    const previous = store.previous();
    if (previous) return previous;
    throw new ApplianceError('release_not_found', 'there is no release before the current one', {
      left: 'nothing was touched',
      hint: 'appliance releases lists what there is; name one: appliance rollback TAG',
    });
  }

  #assertReadable(release: ReleaseFacts): void {
    assertReadable(release.tag, release.schema, this.#a.store.databaseSchema());
  }

  /** Both sides of a deploy must be able to read the database, unless a downtime is accepted. */
  async schemaGate(release: ReleaseFacts, strategy: Strategy): Promise<DeployFacts['liveLosesDatabase']> {
    const { store } = this.#a;
    this.#assertReadable(release);
    const live = store.live();
    if (!live || live.release === release.id) return null;
    const { tag, schema } = await store.manifest(live.release);
    const today = store.databaseSchema();
    if (strategy === 'blue-green') assertLiveKeepsReading(release, today, { tag, schema });
    return schema && breaksLive(release.schema, today, schema) ? { liveTag: tag, liveVersion: schema.version } : null;
  }

  #liveTag(): string | null {
    const { store } = this.#a;
    const live = store.live();
    return live && store.get(live.release).tag;
  }
}

/** The way back of a release needs no registry of models: where that is damaged, the model in force stays. */
function withoutRegistry(error: unknown): [] {
  if (!isRegistryUnusable(error)) throw error;
  return [];
}
