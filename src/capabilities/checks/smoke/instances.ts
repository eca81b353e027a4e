import { askBounded } from '../../../host/http-bounded.ts';
import { messageOf } from '../../../lib/errors.ts';
import { count } from '../../../lib/text.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';

/** One container and what it must answer. */
export interface Instance {
  /** `backend at 10.213.0.10` */
  readonly name: string;
  readonly address: string;
  readonly port: number;
  readonly path: string;
  readonly status: number;
}

/** Every instance of the release answers by itself, without the edge (S0-26, S1-27, S1-79). */
export function instancesCheck(instances: readonly Instance[]): Check {
  return {
    id: 'smoke.instances',
    group: 'smoke',
    requirement: ['S0-26', 'S1-27', 'S1-79'],
    about: 'each instance, asked directly',
    expected: 'the status of its probe',
    hint: 'appliance logs SERVICE',
    look: async (signal) => {
      if (instances.length === 0)
        return inconclusive('no service has an HTTP probe', { hint: 'add services.NAME.probe to appliance.yaml' });
      const answers = await Promise.all(instances.map((instance) => silenceOf(instance, signal)));
      const bad = answers.filter((why) => why !== undefined);
      return bad.length > 0
        ? fail(bad.join('; '), { samples: instances.length })
        : pass(`${count(instances.length, 'instance')} answer`, { samples: instances.length });
    },
  };
}

async function silenceOf(
  { name, address, port, path, status }: Instance,
  signal: AbortSignal,
): Promise<string | undefined> {
  const question = {
    protocol: 'http',
    address,
    port,
    host: 'localhost',
    method: 'GET',
    path,
    headers: {},
    timeout: 5_000,
  } as const;
  try {
    const answer = await askBounded(question, signal);
    return answer.status === status ? undefined : `${name}: status ${answer.status}`;
  } catch (error) {
    signal.throwIfAborted();
    return `${name}: ${messageOf(error)}`;
  }
}
