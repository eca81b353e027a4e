import type { LoadDemand } from '../../../config/policy-demands.ts';
import type { LoadRequest, LoadSeen } from '../../../host/load.ts';
import { durationText } from '../../../lib/units.ts';
import { type Check, inconclusive } from '../check.ts';
import { judgeLoad, limitsOf } from './judge.ts';

export interface LoadHands {
  /** Where requests go. */
  readonly target: Pick<LoadRequest, 'url' | 'headers'>;
  readonly send: (
    request: LoadRequest,
    onProgress: (answers: number) => void,
    signal: AbortSignal,
  ) => Promise<LoadSeen>;
  readonly progress: (text: string) => void;
}

/** Seconds that a ramp keeps one number of users: one of them asks once a second (chosen). */
const slice = 5;

/** Load as a policy asks for it: so many requests at once, or users that come and go (S0-22, S0-53, S1-51, S2-2). */
export function loadChecks(demands: readonly LoadDemand[], hands: LoadHands, ramps: boolean): Check[] {
  if (demands.length === 0) return [noDemand];
  return demands.map((demand) => {
    const length = (demand.stages ?? []).reduce((sum, stage) => sum + stage.for, 0);
    return {
      id: `load.${demand.id}`,
      group: 'load',
      requirement: [demand.id],
      about:
        demand.requests === undefined
          ? `a ramp of ${durationText(length)}`
          : `${demand.requests} requests at ${demand.connections} connections`,
      expected: limitsOf(demand),
      hint: 'look at the slowest requests: appliance logs, and the dashboard API Performance',
      deadline: length + 900_000,
      look: async (signal) => {
        if (demand.stages !== undefined && !ramps)
          return inconclusive('a ramp is only run when load is asked for by itself', { hint: 'appliance check load' });
        return judgeLoad(
          demand.stages === undefined ? await fixed(demand, hands, signal) : await ramp(demand.stages, hands, signal),
          demand,
        );
      },
    };
  });
}

const noDemand: Check = {
  id: 'load.demands',
  group: 'load',
  requirement: [],
  about: 'load',
  expected: 'what a policy asks for',
  hint: 'name a policy that has some: appliance check load --policy routing-ml',
  look: async () => inconclusive('no policy is named that asks for a load'),
};

function fixed(
  { id, requests = 1, connections }: LoadDemand,
  { target, send, progress }: LoadHands,
  signal: AbortSignal,
): Promise<LoadSeen> {
  return send(
    { ...target, requests, connections },
    (answers) => progress(`${id}: ${answers} of ${requests} answers`),
    signal,
  );
}

async function ramp(
  stages: NonNullable<LoadDemand['stages']>,
  { target, send, progress }: LoadHands,
  signal: AbortSignal,
): Promise<LoadSeen> {
  const all: LoadSeen[] = [];
  for (const { users, seconds } of slicesOf(stages)) {
    progress(
      `${users} users for ${seconds} s, ${all.reduce((sum, one) => sum + one.latencies.length, 0)} answers so far`,
    );
    if (users > 0)
      all.push(await send({ ...target, connections: users, seconds, perSecond: users }, () => undefined, signal));
  }
  return {
    latencies: all.flatMap(({ latencies }) => latencies),
    failed: all.reduce((sum, one) => sum + one.failed, 0),
    lost: all.reduce((sum, one) => sum + one.lost, 0),
    limited: all.reduce((sum, one) => sum + one.limited, 0),
    refused: all.reduce((sum, one) => sum + one.refused, 0),
    seconds: all.reduce((sum, one) => sum + one.seconds, 0),
  };
}

/** A ramp as steps of a few seconds with one number of users each. Pure; times in milliseconds come in, seconds go out. */
export function slicesOf(stages: NonNullable<LoadDemand['stages']>): { users: number; seconds: number }[] {
  let from = 0;
  return stages.flatMap(({ for: length, users }) => {
    const count = Math.max(1, Math.round(length / 1_000 / slice));
    const seconds = Math.max(1, Math.round(length / 1_000 / count));
    const start = from;
    from = users;
    return Array.from({ length: count }, (_, index) => ({
      users: Math.round(start + ((users - start) * (index + 0.5)) / count),
      seconds,
    }));
  });
}
