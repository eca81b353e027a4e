import { formatBytes } from '../../../lib/units.ts';
import { type Check, fail, inconclusive, type Observation, pass } from '../check.ts';
import type { UsageSample } from './usage.ts';

/** Above these shares something is nearly exhausted; as the alerts of S1-59 have it. */
const most = { resources: 0.9, connections: 0.8 } as const;
/** Milliseconds between two samples below which a share says nothing. */
const shortest = 60_000;

interface Room {
  /** Bytes. */
  readonly total: number;
  readonly free: number;
}

export interface ExhaustionHands {
  readonly samples: () => readonly UsageSample[];
  readonly processors: () => number;
  /** Null where the kernel does not tell. */
  readonly memory: () => Promise<Room | null>;
  readonly disk: () => Promise<Room & { readonly inodes: number; readonly freeInodes: number }>;
  /** Undefined where appliance.yaml names no database. */
  readonly connections: () => Promise<{ readonly used: number; readonly limit: number } | undefined>;
}

/** Nothing runs out: processors, memory, disk, connections of the database (S1-59). */
export function exhaustionChecks(hands: ExhaustionHands): Check[] {
  const line = (name: string, about: string, hint: string, look: () => Promise<Observation>, limit: number): Check => ({
    id: `post-deploy.${name}`,
    group: 'post-deploy',
    requirement: ['S1-59'],
    about,
    expected: `at most ${limit * 100} % in use`,
    hint,
    look,
  });
  const { resources, connections } = most;
  return [
    line('processors', 'processors', 'appliance stats shows who uses them', async () => processorsOf(hands), resources),
    line(
      'memory',
      'memory',
      'appliance stats shows who uses it',
      async () => {
        const room = await hands.memory();
        return room === null ? inconclusive('the kernel does not tell') : inUse(room);
      },
      resources,
    ),
    line(
      'disk',
      'disk',
      'appliance releases prune; appliance backup prune',
      async () => {
        const { inodes, freeInodes, ...room } = await hands.disk();
        const seen = inUse(room);
        // 0: the file system makes them as it needs them.
        if (inodes === 0 || 1 - freeInodes / inodes <= resources) return seen;
        return fail(`${percent(1 - freeInodes / inodes)} of the inodes are in use, ${seen.observed}`);
      },
      resources,
    ),
    line(
      'connections',
      'connections of the database',
      'appliance exec DATABASE: pg_stat_activity shows whose they are',
      async () => {
        const use = await hands.connections();
        if (!use) {
          return inconclusive('appliance.yaml does not say which service is the database', {
            hint: 'set monitoring.database.service',
          });
        }
        const { used, limit } = use;
        return (used <= limit * connections ? pass : fail)(`${used} of ${limit} are in use`);
      },
      connections,
    ),
  ];
}

function processorsOf({ samples, processors }: ExhaustionHands): Observation {
  const shares = sharesOf(samples(), processors());
  const busiest = Math.max(...shares);
  if (shares.length === 0)
    return inconclusive('the containers were not measured twice yet', {
      needed: 1,
      hint: 'a running agent measures them, every 5 minutes at first',
    });
  return (busiest <= most.resources ? pass : fail)(`${percent(busiest)} at the busiest time`, {
    samples: shares.length,
  });
}

/** Share of all processors that the containers used between each two moments. Pure. */
export function sharesOf(samples: readonly UsageSample[], processors: number): number[] {
  const moments = Map.groupBy(samples, ({ at }) => at);
  const times = [...moments.keys()];
  return times.slice(1).flatMap((at, index) => {
    const before = times[index] ?? at;
    if (at - before < shortest) return [];
    const earlier = new Map(moments.get(before)?.map(({ container, cpu }) => [container, cpu]));
    // What was restarted counts from nothing again.
    const used = (moments.get(at) ?? []).reduce((sum, { container, cpu }) => {
      const then = earlier.get(container);
      return sum + (then === undefined ? 0 : cpu < then ? cpu : cpu - then);
    }, 0);
    return [used / ((at - before) / 1_000) / processors];
  });
}

function inUse({ total, free }: Room): Observation {
  const used = 1 - free / total;
  return (used <= most.resources ? pass : fail)(`${percent(used)} in use, ${formatBytes(free)} free`);
}

const percent = (share: number): string => `${Math.round(share * 100)} %`;
