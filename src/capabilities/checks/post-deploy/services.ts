import { count } from '../../../lib/text.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';

/** A container of the live release or of the core. */
export interface SeenService {
  readonly name: string;
  /** Whether it runs and its healthcheck, if it has one, passes. */
  readonly well: boolean;
  /** `running`, `unhealthy`, `exited` … */
  readonly state: string;
  /** How often the engine has restarted it by itself since the release went live. */
  readonly restarts: number;
}

/** All services run, and none had to be started again (S1-79, S1-80). */
export function servicesCheck(services: () => Promise<readonly SeenService[]>): Check {
  return {
    id: 'post-deploy.services',
    group: 'post-deploy',
    requirement: ['S1-79', 'S1-80'],
    about: 'services',
    expected: 'all run, and none was restarted by the engine',
    hint: 'appliance logs SERVICE says why; appliance up starts what does not run',
    look: async () => {
      const seen = await services();
      if (seen.length === 0) return inconclusive('no container is known');
      const bad = seen.filter(({ well, restarts }) => !well || restarts > 0);
      const words = ({ name, well, state, restarts }: SeenService) =>
        well ? `${name} was restarted ${count(restarts, 'time')}` : `${name}: ${state}`;
      return bad.length > 0
        ? fail(bad.map(words).join(', '), { samples: seen.length })
        : pass(`${count(seen.length, 'container')} run`, { samples: seen.length });
    },
  };
}
