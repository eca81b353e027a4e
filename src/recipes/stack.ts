import type { Config } from '../config/schema.ts';
import { type Colour, colours } from '../lib/colour.ts';
import type { Topology } from '../lib/topology.ts';
import type { PlannedStep } from '../operations/step.ts';
import { buildSteps, migrateSteps, removal } from './deploy.ts';
import type { Observed, ReleaseFacts } from './facts.ts';
import { shiftSteps } from './shift.ts';
import type { Steps } from './steps.ts';

export interface UpFacts {
  /** The live release, or null before the first deploy: then only the core starts. */
  readonly release: ReleaseFacts | null;
  readonly observed: Observed;
  /** Where the live release listens, or would listen, on either colour. */
  readonly topologies: Readonly<Record<Colour, Topology>> | null;
  /** Version of today's database schema; null when nothing was ever migrated, or the data are gone. */
  readonly schemaToday: number | null;
  /** Replace core services whose definition changed: a short downtime. */
  readonly replaceCore: boolean;
  readonly actor: string;
  readonly config: Config;
}

/** Makes the machine what the records say: core, live colour, traffic. Also the way out of "manual intervention". */
export function planUp(facts: UpFacts, steps: Steps): PlannedStep[] {
  const { release, observed, config } = facts;
  const { live } = observed;
  const adopt = facts.replaceCore
    ? [
        steps.adoptCore.plan(
          { release: release?.id ?? null, replace: true },
          { title: 'take the core services over from the live release', cause: 'asked for with --core' },
        ),
      ]
    : [];
  const core = steps.startCore.plan(
    { release: release?.id ?? null, replace: facts.replaceCore },
    { title: 'start the core', cause: 'edge, databases and networks come first', deadline: 300_000 },
  );
  if (!release || !live || !facts.topologies) return [...adopt, core];
  // After `down --volumes` the database is empty, and nobody else would fill it.
  const unknown = facts.schemaToday === null && release.migrates && !observed.colours[live.colour].running;
  return [
    ...buildSteps(release, config, steps),
    ...adopt,
    core,
    ...(unknown ? migrateSteps(release, live.colour, config, steps) : []),
    steps.startColour.plan(
      { release: release.id, colour: live.colour },
      { title: `start ${live.colour} with ${release.tag}`, cause: `${release.tag} is live`, deadline: 180_000 },
    ),
    ...shiftSteps(
      { release, to: live.colour, topologies: facts.topologies, observed, actor: facts.actor, config },
      steps,
    ),
  ];
}

/** Stops everything. Data stays unless its removal was asked for and confirmed. */
export function planDown(
  facts: { readonly observed: Observed; readonly volumes: boolean; readonly config: Config },
  steps: Steps,
): PlannedStep[] {
  const { observed, config } = facts;
  const occupied = colours.filter((colour) => observed.colours[colour].occupied);
  return [
    ...(occupied.length > 0
      ? [
          steps.removeColours.plan(
            { removals: occupied.map((colour) => removal(colour, observed, config)) },
            {
              title: `stop ${occupied.join(' and ')}`,
              cause: 'everything is to stop',
              deadline: config.deploy.drain + 60_000,
            },
          ),
        ]
      : []),
    // First: a schema that is forgotten is migrated again, one that is remembered of an empty database never.
    ...(facts.volumes
      ? [steps.forgetSchema.plan({}, { title: 'forget the schema of the database', cause: 'its data go' })]
      : []),
    steps.removeCore.plan(
      { volumes: facts.volumes },
      {
        title: facts.volumes ? 'stop the core and remove all data volumes' : 'stop the core',
        cause: facts.volumes ? 'asked for with --volumes and confirmed' : 'everything is to stop; data stays',
        deadline: 180_000,
      },
    ),
  ];
}

/** Restarts containers one after the other; the next one waits until the one before is healthy again. */
export function planRestart(
  facts: { readonly services: readonly string[]; readonly config: Config },
  steps: Steps,
): PlannedStep[] {
  const timeout = facts.config.deploy.healthTimeout;
  return facts.services.map((service) =>
    steps.restartService.plan(
      { service, timeout },
      {
        title: `restart ${service}`,
        cause: 'asked for; one at a time, so that the others go on serving',
        deadline: timeout + 60_000,
      },
    ),
  );
}
