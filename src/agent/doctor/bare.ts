import type { Handlers } from '../../api/handlers.ts';
import { type EvidenceName, evidenceTitles } from '../../capabilities/doctor/evidence.ts';
import { Engine } from '../../host/docker.ts';
import { systemClock } from '../../lib/clock.ts';
import { ApplianceError, asApplianceError, type ErrorCode } from '../../lib/errors.ts';
import type { Paths } from '../../lib/paths.ts';
import type { Gatherers } from './gather.ts';
import { chosenSymptoms, diagnoseAll, reportOf } from './index.ts';
import { diskOf } from './stack-evidence.ts';
import { machineOf } from './upkeep-evidence.ts';

/** What says that appliance.yaml, and not the machine, is the reason. */
const configurationCodes: readonly ErrorCode[] = [
  'config_missing',
  'config_invalid',
  'policy_invalid',
  'policy_not_found',
];

/**
 * What can be said where the appliance cannot be opened at all: its configuration or its state is broken, or may not be
 * read. Engine, disk and machine can be looked at all the same.
 */
export function bareDoctor(paths: Paths, why: ApplianceError): Pick<Handlers, 'doctor'> {
  return {
    doctor: async function* ({ symptom, agentProblem }, { signal }) {
      const began = systemClock.monotonic();
      const found = await diagnoseAll(
        chosenSymptoms(symptom, systemClock.now()),
        gatherersOf(paths, why, agentProblem),
        signal,
      );
      yield reportOf({ wanted: symptom, found, by: 'in-process', fixes: [], clock: systemClock, began });
    },
  };
}

function gatherersOf(paths: Paths, why: ApplianceError, agentProblem: string | null): Gatherers {
  const nobody = Object.fromEntries(
    Object.keys(evidenceTitles).map((name) => [
      name,
      () => {
        throw new ApplianceError(why.code, `the appliance cannot be opened: ${why.message}`);
      },
    ]),
  ) as unknown as { readonly [Name in EvidenceName]: () => never };
  return {
    ...nobody,
    agent: () => ({ running: false, problem: agentProblem }),
    ...(configurationCodes.includes(why.code)
      ? { configuration: () => ({ problem: why.message, hint: why.hint ?? null }) }
      : {}),
    engine: async () => {
      try {
        await new Engine().ping();
        return { problem: null };
      } catch (error) {
        return { problem: asApplianceError(error).message };
      }
    },
    machine: machineOf,
    disk: () => diskOf(paths.lib, async () => []),
  };
}
