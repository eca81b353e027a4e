import type { Gpu } from '../../../host/gpu.ts';
import { count } from '../../../lib/text.ts';
import { formatBytes } from '../../../lib/units.ts';
import { type Check, fail, pass } from '../check.ts';

/**
 * Where a service reserves GPUs, driver and memory for two of them at once are there (S0-4, S4-3).
 * @param reserved GPUs that one release reserves; null when that is not known before a first deploy
 */
export function gpuCheck(
  reserved: () => Promise<number | null>,
  gpus: (signal: AbortSignal) => Promise<Gpu[] | undefined>,
): Check {
  return {
    id: 'preflight.gpu',
    group: 'preflight',
    requirement: ['S0-4', 'S4-3'],
    about: 'GPU',
    expected: 'driver and free memory where a service reserves one',
    hint: 'install the driver and the NVIDIA container toolkit; with room for one model only, deploy with --strategy recreate',
    look: async (signal) => {
      const wanted = await reserved();
      if (wanted === 0) return pass('no service reserves one');
      const found = await gpus(signal);
      if (found === undefined || found.length === 0)
        return wanted === null
          ? pass('there is none, and nothing is known to need one')
          : fail(`${count(wanted, 'GPU')} reserved, no driver answers`);
      const said = found.map(
        ({ name, driver, memory, free }) =>
          `${name}, driver ${driver}, ${formatBytes(free)} of ${formatBytes(memory)} free`,
      );
      return (wanted === null || found.length >= wanted ? pass : fail)(said.join('; '), { samples: found.length });
    },
  };
}
