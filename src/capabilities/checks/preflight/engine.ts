import type { Compose } from '../../../host/compose.ts';
import { type Check, fail, inconclusive, type Observation, pass } from '../check.ts';

type Versions = Awaited<ReturnType<Compose['version']>>;

/** Docker Engine answers and is new enough (S1-4). */
export function engineCheck(versions: () => Promise<Versions>): Check {
  return {
    id: 'preflight.engine',
    group: 'preflight',
    requirement: ['S1-4'],
    about: 'Docker Engine',
    expected: '20.10 or later',
    hint: 'install a current Docker Engine and start it: systemctl start docker',
    look: async () => newEnough((await versions()).engine, [20, 10]),
  };
}

/** Docker Compose v2 is there (S1-5). */
export function composeCheck(versions: () => Promise<Versions>): Check {
  return {
    id: 'preflight.compose',
    group: 'preflight',
    requirement: ['S1-5'],
    about: 'Docker Compose',
    expected: '2.0 or later',
    hint: 'install the Compose plugin: apt-get install docker-compose-plugin',
    look: async () => newEnough((await versions()).compose, [2, 0]),
  };
}

/** By numbers, because Docker wrote 19.03 once, which semantic versions do not know. */
function newEnough(found: string, [major, minor]: readonly [number, number]): Observation {
  const [, first, second] = /^v?(\d+)\.(\d+)/.exec(found) ?? [];
  if (first === undefined) return inconclusive(`it says that its version is ${JSON.stringify(found)}`);
  const enough = Number(first) > major || (Number(first) === major && Number(second) >= minor);
  return (enough ? pass : fail)(found);
}
