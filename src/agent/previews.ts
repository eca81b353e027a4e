import type { ParsedInput } from '../api/routes.ts';
import type { Change, Plan } from '../api/schema.ts';
import { diffReleases, hashValues } from '../capabilities/releases/diff.ts';
import { releaseId } from '../capabilities/releases/store.ts';
import { type Project, servicesOf, topologyOf } from '../capabilities/stack/index.ts';
import { adviseOn } from '../config/advice.ts';
import { pathText } from '../config/problems.ts';
import type { Config } from '../config/schema.ts';
import { availableMemory } from '../host/memory.ts';
import { type Colour, colours } from '../lib/colour.ts';
import { formatBytes } from '../lib/units.ts';
import type { PlannedStep } from '../operations/step.ts';
import { holdTime, type RolloutPolicy } from '../recipes/canary.ts';
import {
  baselineOf,
  type DeployFacts,
  idleColour,
  planDeploy,
  planResolve,
  type Strategy,
  warmInTheWay,
} from '../recipes/deploy.ts';
import type { Observed, ReleaseFacts } from '../recipes/facts.ts';
import { commitOf, peek } from '../recipes/resolve.ts';
import { planRollback, type RollbackPath, rollbackPath } from '../recipes/rollback.ts';
import type { Appliance } from './appliance.ts';
import { DataRollback } from './data-rollback.ts';
import { backupBefore } from './deploy-backup.ts';
import { agentActor } from './identity.ts';
import type { Plans } from './plans.ts';

/** Shows what an operation would do. Changes nothing. */
export class Previews {
  readonly #a: Appliance;
  readonly #plans: Plans;

  constructor(appliance: Appliance, plans: Plans) {
    this.#a = appliance;
    this.#plans = plans;
  }

  /** What a deploy would do. Changes nothing: the tag is looked at in a scratch directory. */
  async showDeploy(input: ParsedInput<'plan'>, signal: AbortSignal): Promise<Plan> {
    const { resolve, store, config, observer, core, steps, checks, people } = this.#a;
    const notes: string[] = [];
    const commit = await commitOf(resolve, input.tag, input.acceptMovedTag, (text) => notes.push(text), signal);
    const checking = checks.beforeDeploy(input.tag, input.policy, signal);
    // Whoever waits for it below is told; until then nobody may be missed.
    checking.catch(() => undefined);
    const seen = await peek(resolve, input.tag, commit, signal);
    const id = releaseId(input.tag, commit, seen.content);
    const same = store.all().find((release) => release.id === id);
    const observed = await observer.observe();
    const release: ReleaseFacts = same
      ? await observer.releaseFacts(same.id)
      : {
          id,
          tag: input.tag,
          schema: seen.project.schema,
          migrates: servicesOf(seen.project, 'migrate').length > 0,
          imagesPresent: false,
        };
    const { strategy, policy } = await this.#plans.way(input);
    const liveLosesDatabase = await this.#plans.schemaGate(release, strategy);
    if (liveLosesDatabase)
      notes.push(`there is no way back to ${liveLosesDatabase.liveTag} without restoring its data`);
    const roles = await people.roles(input.policy);
    const approvals = people.view(
      { tag: input.tag, commit, ...seen.content },
      roles,
      await people.policies(input.policy),
    );
    const subnets = await core.subnets();
    const on = (colour: Colour) =>
      topologyOf({ project: seen.project, tag: input.tag, colour, subnet: subnets[colour] });
    const facts: DeployFacts = {
      release,
      observed,
      schemaToday: store.databaseSchema()?.version ?? null,
      liveLosesDatabase,
      topologies: { blue: on('blue'), green: on('green') },
      strategy,
      policy,
      actor: agentActor.user,
      config,
      approvals: roles,
      backup: input.skipBackup ? [] : backupBefore(this.#a, release),
    };
    const resolving = planResolve(input, steps);
    const planned = planDeploy(facts, steps);
    if (planned.length === 0) notes.push(`${input.tag} is live already`);
    const displaced = warmInTheWay(release, idleColour(observed), observed);
    if (planned.length > 0 && displaced !== null) notes.push(roomNote(displaced, idleColour(observed)));
    notes.push(...adviceNotes(config, observed, policy));
    const rolled = policy !== null && baselineOf(facts) !== null;
    if (policy && !rolled && planned.length > 0)
      notes.push(`policy ${policy.name} is not used: no release serves that the new one could be compared with`);
    notes.push(...seen.project.notes, ...(await this.#coreNotes(seen.project)), ...(await this.#memoryNotes(strategy)));
    const from = observed.live ? await store.view(observed.live.release) : null;
    const to = same
      ? await store.view(same.id)
      : {
          manifest: { format: 1 as const, id: release.id, tag: input.tag, commit, createdAt: '', ...seen.content },
          images: undefined,
          environment: hashValues(seen.environment.values),
        };
    const { findings, refused } = await checking;
    if (refused.length > 0) notes.push(`it would be refused: ${refused.map(({ id }) => id).join(', ')}`);
    const missing = approvals.approvals.filter(({ given }) => given === null);
    if (missing.length > 0 && planned.length > 0) notes.push(missingNote(input.tag, missing));
    const plan = this.#describe({
      kind: 'deploy',
      from: observed.live?.tag ?? null,
      to: input.tag,
      strategy: rolled && policy.stages.length > 0 ? 'canary' : strategy,
      policy: rolled ? policy.name : null,
      colour: planned.length === 0 ? (observed.live?.colour ?? null) : idleColour(observed),
      steps: planned.length === 0 ? resolving : [...resolving, ...planned],
      changes: diffReleases(from, to, config.routes),
      notes,
      downtimeOf: strategy === 'recreate' ? downtimeSteps : [],
    });
    return { ...plan, checks: [...findings], ...(roles.length === 0 ? {} : { approvals }) };
  }

  async #coreNotes(project: Project): Promise<string[]> {
    const names = await this.#a.core.differences(project);
    if (names.length === 0) return [];
    return [
      `core services that differ from those that run: ${names.join(', ')}; appliance up --core takes them over after the deploy, with a downtime`,
    ];
  }

  /** Two releases side by side need about twice what one uses. */
  async #memoryNotes(strategy: Strategy): Promise<string[]> {
    const { store, watch } = this.#a;
    const live = store.live();
    if (!live || strategy === 'recreate') return [];
    await watch.sample();
    const used = watch.services().filter(({ colour }) => colour === live.colour);
    const needed = used.reduce((sum, { memoryBytes }) => sum + (memoryBytes ?? 0), 0);
    const available = await availableMemory();
    if (available === null || needed <= available) return [];
    return [
      `${live.colour} uses ${formatBytes(needed)} and only ${formatBytes(available)} are available: two releases may not fit side by side; --strategy recreate stops one before it starts the other`,
    ];
  }

  async showRollback(input: ParsedInput<'planRollback'>, signal: AbortSignal): Promise<Plan> {
    const { store, steps, config } = this.#a;
    const target = this.#plans.rollbackTarget(input.tag);
    const data = new DataRollback(this.#a);
    if (input.restoreData !== undefined)
      return data.show(
        await this.#plans.rollbackFacts(target, agentActor, { withData: true }),
        input.restoreData,
        signal,
      );
    const facts = await this.#plans.rollbackFacts(target, agentActor).catch(async (refusal: unknown) => {
      throw await data.explain(refusal, target);
    });
    const path = rollbackPath(facts);
    const { live } = facts.observed;
    const to = idleColour(facts.observed);
    const displaced = path === 'none' ? null : warmInTheWay(facts.release, to, facts.observed);
    return this.#describe({
      kind: 'rollback',
      from: live?.tag ?? null,
      to: target.tag,
      strategy: path,
      policy: null,
      colour: path === 'none' ? (live?.colour ?? null) : to,
      steps: planRollback(facts, steps),
      changes: diffReleases(live ? await store.view(live.release) : null, await store.view(target.id), config.routes),
      notes: [pathNotes[path](target.tag), ...(displaced === null ? [] : [roomNote(displaced, to)])],
      downtimeOf: [],
    });
  }

  #describe(about: {
    kind: string;
    from: string | null;
    to: string;
    strategy: string;
    policy: string | null;
    colour: Colour | null;
    steps: readonly PlannedStep[];
    changes: Change[];
    notes: string[];
    downtimeOf: readonly string[];
  }): Plan {
    const { steps, downtimeOf, ...rest } = about;
    const usual = steps.map((step) => holdTime(step) ?? this.#a.journal.usualDuration(step.action));
    const shown = steps.map(({ action, title, cause }, index) => {
      const ms = usual[index] ?? null;
      return { action, title, cause, seconds: ms === null ? null : ms / 1_000 };
    });
    const sum = (all: readonly (number | null)[]): number =>
      all.reduce<number>((total, ms) => total + (ms ?? 0), 0) / 1_000;
    return {
      ...rest,
      steps: shown,
      predictedSeconds: usual.every((ms) => ms === null) ? null : sum(usual),
      predictedDowntimeSeconds: sum(
        steps.map(({ action }, index) => (downtimeOf.includes(action) ? (usual[index] ?? null) : 0)),
      ),
    };
  }
}

/** `it would be refused: not approved by technical lead, security: appliance approve v1 --role tech-lead` */
function missingNote(tag: string, missing: readonly { readonly title: string; readonly role: string }[]): string {
  const titles = missing.map(({ title }) => title).join(', ');
  const how = missing.map(({ role }) => `appliance approve ${tag} --role ${role}`).join('; ');
  return `it would be refused: not approved yet by ${titles}; ${how}`;
}

/**
 * What `config check` warns of, for this deploy: a colour that is cleared may still serve the routes of an older release, and
 * nothing is copied unless the policy says so.
 */
function adviceNotes(
  { deploy, routes, shadow }: Config,
  observed: Observed,
  policy: Pick<RolloutPolicy, 'shadow'> | null,
): string[] {
  const held = colours.flatMap((colour) => observed.colours[colour].topology?.routes ?? []);
  const advice = adviseOn({ deploy, routes: [...routes, ...held], ...(policy?.shadow && shadow ? { shadow } : {}) });
  return advice.map(({ path, message }) => `${pathText(path)}: ${message}`);
}

/** With strategy `recreate`, users wait while these run. */
const downtimeSteps = [
  'stop-colour',
  'migrate',
  'record-schema',
  'start-colour',
  'wait-healthy',
  'configure-edge',
  'shift-traffic',
];

const roomNote = (tag: string, colour: Colour): string =>
  `${tag} is warm on ${colour} and makes room: from then on, even if this fails, a rollback to ${tag} starts it again from its images`;

const pathNotes: Readonly<Record<RollbackPath, (tag: string) => string>> = {
  none: (tag) => `${tag} is live already`,
  warm: (tag) => `${tag} still runs on the other colour: only the traffic moves`,
  cold: (tag) => `the images of ${tag} are kept: it is started, proven and then gets the traffic`,
  rebuild: (tag) => `the images of ${tag} are gone: they are built again from its commit`,
};
