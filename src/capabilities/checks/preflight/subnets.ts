import { ApplianceError } from '../../../lib/errors.ts';
import { type Check, fail, pass } from '../check.ts';

/** The networks of both colours clash with no route of the host and no other network (S0-4). */
export function subnetsCheck(choose: () => Promise<{ readonly blue: string; readonly green: string }>): Check {
  return {
    id: 'preflight.subnets',
    group: 'preflight',
    requirement: ['S0-4'],
    about: 'networks',
    expected: 'two networks that nobody else uses',
    hint: 'set network.pool in appliance.yaml to a range that this host does not use',
    look: async () => {
      try {
        const { blue, green } = await choose();
        return pass(`${blue} and ${green}`);
      } catch (error) {
        if (error instanceof ApplianceError && error.code === 'subnet_exhausted') return fail(error.message);
        throw error;
      }
    },
  };
}
