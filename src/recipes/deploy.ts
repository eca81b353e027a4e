import type { Config } from '../config/schema.ts';
import { type Colour, otherColour } from '../lib/colour.ts';
import type { Topology } from '../lib/topology.ts';
import type { PlannedStep } from '../operations/step.ts';
import { canarySteps, type RolloutPolicy } from './canary.ts';
import type { Observed, ReleaseFacts } from './facts.ts';
import { shiftSteps } from './shift.ts';
import type { Removal, Side, Steps } from './steps.ts';

/** Free space below which nothing is built, in bytes: a full disk would hurt what is running. */
const minimumFreeBytes = 1_000_000_000;

export type Strategy = Config['deploy']['strategy'];

/** First phase: is the host fit, and what is the release made of? Changes nothing that anybody uses. */
export function planResolve(
  wish: { readonly tag: string; readonly acceptMovedTag: boolean; readonly policy?: string | undefined },
  steps: Steps,
): PlannedStep[] {
  return [
    steps.checkHost.plan(
      { minimumFreeBytes, tag: wish.tag, policy: wish.policy },
      { title: 'check the host and the configuration', cause: 'nothing is begun on a host that cannot finish it' },
    ),
    steps.resolveRelease.plan(
      { tag: wish.tag, acceptMovedTag: wish.acceptMovedTag },
      {
        title: `resolve release ${wish.tag}`,
        cause: 'a release is one unit: commit, Compose model, environment, files',
        deadline: 180_000,
      },
    ),
  ];
}

export interface DeployFacts {
  readonly release: ReleaseFacts;
  readonly observed: Observed;
  /** Version of today's database schema; null when nothing was ever migrated. */
  readonly schemaToday: number | null;
  /** Set when the migration takes the database away from the live release (strategy `recreate` only). */
  readonly liveLosesDatabase: { readonly liveTag: string; readonly liveVersion: number } | null;
  /** Where the release would listen on either colour. */
  readonly topologies: Readonly<Record<Colour, Topology>>;
  readonly strategy: Strategy;
  /** What lets the release pass and what takes it back; null: the plain shift. */
  readonly policy: RolloutPolicy | null;
  readonly actor: string;
  readonly config: Config;
  /** Roles in which people must have approved the release; none where no policy asks. */
  readonly approvals: Parameters<Steps['requireApprovals']['plan']>[0]['roles'];
  /** The backup that comes before anything is touched (S1-20); none where nothing is there that could be lost. */
  readonly backup: readonly PlannedStep[];
}

/** The colour that a deploy goes to. */
export function idleColour(observed: Observed): Colour {
  return observed.live ? otherColour(observed.live.colour) : 'blue';
}

/** Whether a release brings a migration that the database has not seen. */
export function needsMigration(release: ReleaseFacts, schemaToday: number | null): boolean {
  if (!release.migrates) return false;
  return release.schema === null || schemaToday === null || release.schema.version > schemaToday;
}

/**
 * Second phase: from a resolved release to verified traffic on it (DESIGN §5). Pure. What is slow or may fail comes
 * before anything is stopped.
 */
export function planDeploy(facts: DeployFacts, steps: Steps): PlannedStep[] {
  const { release, observed, config, strategy } = facts;
  const { live } = observed;
  if (live?.release === release.id && observed.colours[live.colour].running) return [];
  const to = idleColour(observed);
  const on = { release: release.id, colour: to };
  const wish = {
    release,
    to,
    topologies: facts.topologies,
    observed,
    actor: facts.actor,
    config,
    smoke: config.checks?.smoke ?? [],
  };
  const baseline = baselineOf(facts);
  const policy = baseline ? facts.policy : null;
  const drain = policy?.drain ?? config.deploy.drain;
  return [
    ...approvalSteps(facts, steps),
    ...buildSteps(release, config, steps),
    startCore(release, steps),
    ...facts.backup,
    ...clearSteps(release, to, observed, config, steps),
    ...(strategy === 'recreate' && live && observed.colours[live.colour].occupied
      ? [
          steps.stopColour.plan(
            { colour: live.colour, graceSeconds: config.deploy.drain / 1_000 },
            {
              title: `stop ${live.colour} (${live.tag})`,
              cause: 'strategy recreate: two releases do not fit side by side; downtime begins',
              deadline: config.deploy.drain + 60_000,
            },
          ),
        ]
      : []),
    ...(facts.liveLosesDatabase
      ? [
          steps.leaveWayBack.plan(facts.liveLosesDatabase, {
            title: `leave the quick way back to ${facts.liveLosesDatabase.liveTag}`,
            cause: 'it cannot read the database after this migration; asked for with --strategy recreate',
          }),
        ]
      : []),
    ...(needsMigration(release, facts.schemaToday) ? migrateSteps(release, to, config, steps) : []),
    steps.startColour.plan(policy ? { ...on, graceSeconds: drain / 1_000 } : on, {
      title: `start ${to} with ${release.tag}`,
      cause: `${to} is idle; production is not touched`,
      deadline: Math.max(180_000, drain + 60_000),
    }),
    ...(policy && baseline ? canarySteps(wish, baseline, policy, steps) : shiftSteps(wish, steps)),
    ...(config.deploy.bake > 0 && !policy
      ? [
          steps.bake.plan(
            { ...on, duration: config.deploy.bake },
            {
              title: `watch ${to} for ${config.deploy.bake / 1_000} s`,
              cause: 'some failures show only under traffic',
              deadline: config.deploy.bake + 60_000,
            },
          ),
        ]
      : []),
    ...retireSteps(observed, config, drain, steps),
    retain(steps),
  ];
}

/** People come before machines: nothing is built for a release that somebody may still refuse. */
function approvalSteps({ approvals, release }: DeployFacts, steps: Steps): PlannedStep[] {
  if (approvals.length === 0) return [];
  return [
    steps.requireApprovals.plan(
      { release: release.id, tag: release.tag, roles: [...approvals] },
      {
        title: `see that people have approved ${release.tag}`,
        cause: `the policy asks for ${approvals.length} roles (${[...new Set(approvals.map(({ id }) => id))].join(', ')})`,
      },
    ),
  ];
}

export function buildSteps(release: ReleaseFacts, config: Config, steps: Steps): PlannedStep[] {
  if (release.imagesPresent) return [];
  return [
    steps.buildImages.plan(
      { release: release.id },
      {
        title: `build the images of ${release.tag}`,
        cause: 'not on this host yet; built before anything stops',
        deadline: config.deploy.buildTimeout,
      },
    ),
  ];
}

export function startCore(release: ReleaseFacts, steps: Steps): PlannedStep {
  return steps.startCore.plan(
    { release: release.id, replace: false },
    {
      title: 'make sure that the core runs',
      cause: 'edge, databases and networks are shared by both colours',
      deadline: 180_000,
    },
  );
}

/** The tag of a warm release that a deploy or a cold rollback takes the place of; null when there is none. */
export function warmInTheWay(release: Pick<ReleaseFacts, 'id'>, to: Colour, observed: Observed): string | null {
  const there = observed.colours[to];
  return there.running && there.release !== release.id ? (there.topology?.release ?? null) : null;
}

/** Removes a colour; one that has had no traffic for longer than requests may take has nothing to finish. */
export function removal(colour: Colour, observed: Observed, { deploy }: Config): Removal {
  const { live, weights, at } = observed;
  const idle =
    live?.colour !== colour && (weights?.[colour] ?? 0) === 0 && (live === null || at - live.since >= deploy.drain);
  return { colour, graceSeconds: deploy.drain / 1_000, idle };
}

/** Whatever else stands on the colour goes first: its fixed addresses are needed. It gets no traffic. */
export function clearSteps(
  release: ReleaseFacts,
  colour: Colour,
  observed: Observed,
  config: Config,
  steps: Steps,
): PlannedStep[] {
  const there = observed.colours[colour];
  if (!there.occupied || there.release === release.id) return [];
  return [
    steps.removeColour.plan(
      { ...removal(colour, observed, config), warm: warmInTheWay(release, colour, observed) },
      {
        title: `clear ${colour}`,
        cause: 'it holds an older release without traffic',
        deadline: config.deploy.drain + 60_000,
      },
    ),
  ];
}

export function migrateSteps(release: ReleaseFacts, colour: Colour, config: Config, steps: Steps): PlannedStep[] {
  const migrate = steps.migrate.plan(
    { release: release.id, colour },
    {
      title: `migrate the database with ${release.tag}`,
      cause: 'its schema is newer than the database',
      deadline: config.deploy.migrateTimeout + 30_000,
    },
  );
  if (!release.schema) return [migrate];
  const record = steps.recordSchema.plan(
    { release: release.id, ...release.schema },
    { title: `record schema ${release.schema.version}`, cause: 'releases that cannot read it are refused from now on' },
  );
  return [migrate, record];
}

/**
 * What a progressive rollout compares with and goes back to: a release that serves beside the new one. There is none at
 * the first deploy, and none with strategy `recreate`.
 */
export function baselineOf({ observed, strategy }: Pick<DeployFacts, 'observed' | 'strategy'>): Side | null {
  const { live } = observed;
  if (!live || strategy === 'recreate' || !observed.colours[live.colour].running) return null;
  return { release: live.release, tag: live.tag, colour: live.colour };
}

function retireSteps(observed: Observed, config: Config, drain: number, steps: Steps): PlannedStep[] {
  const { live } = observed;
  if (!live || config.deploy.retire === 'keep-warm' || !observed.colours[live.colour].occupied) return [];
  const wish = { colour: live.colour, graceSeconds: drain / 1_000 };
  const about = {
    title: `${config.deploy.retire} ${live.colour} (${live.tag})`,
    cause: `policy deploy.retire: ${config.deploy.retire}`,
    optional: true,
    deadline: drain + 60_000,
  };
  return config.deploy.retire === 'stop'
    ? [steps.stopColour.plan(wish, about)]
    : [steps.removeColour.plan({ ...wish, idle: false, warm: null }, about)];
}

function retain(steps: Steps): PlannedStep {
  return steps.retain.plan(
    {},
    {
      title: 'remove images that no release needs',
      cause: 'retention comes last and never fails a deploy',
      optional: true,
    },
  );
}
