import type { Config } from '../config/schema.ts';
import type { Colour } from '../lib/colour.ts';
import type { Topology } from '../lib/topology.ts';
import type { PlannedStep } from '../operations/step.ts';
import { buildSteps, clearSteps, idleColour, startCore } from './deploy.ts';
import type { Observed, ReleaseFacts } from './facts.ts';
import { shiftSteps } from './shift.ts';
import type { Steps } from './steps.ts';

export interface RollbackFacts {
  readonly release: ReleaseFacts;
  readonly observed: Observed;
  /** Where the release would listen on either colour. */
  readonly topologies: Readonly<Record<Colour, Topology>>;
  readonly actor: string;
  readonly config: Config;
}

/** How fast a way back is: the colour still runs, its images are kept, or they must be built again. */
export type RollbackPath = 'none' | 'warm' | 'cold' | 'rebuild';

export function rollbackPath({ release, observed }: Pick<RollbackFacts, 'release' | 'observed'>): RollbackPath {
  const { live } = observed;
  if (live?.release === release.id && observed.colours[live.colour].running) return 'none';
  const idle = observed.colours[idleColour(observed)];
  if (idle.release === release.id && idle.running) return 'warm';
  return release.imagesPresent ? 'cold' : 'rebuild';
}

/** From the current release back to an older one (DESIGN §5). Pure. */
export function planRollback(facts: RollbackFacts, steps: Steps): PlannedStep[] {
  const { release, observed, config } = facts;
  const path = rollbackPath(facts);
  if (path === 'none') return [];
  const to = idleColour(observed);
  const shift = shiftSteps({ release, to, topologies: facts.topologies, observed, actor: facts.actor, config }, steps);
  if (path === 'warm') return shift;
  return [
    ...buildSteps(release, config, steps),
    startCore(release, steps),
    ...clearSteps(release, to, observed, config, steps),
    steps.startColour.plan(
      { release: release.id, colour: to },
      {
        title: `start ${to} with ${release.tag}`,
        cause: 'its containers are gone, its images are here',
        deadline: 180_000,
      },
    ),
    ...shift,
  ];
}
