import type { FileSystemUse } from '../../../host/machine.ts';
import { formatBytes } from '../../../lib/units.ts';
import { type Check, fail, pass } from '../check.ts';

/** Free space below which nothing is built, in bytes: a full disk would hurt what is running. */
const leastFree = 1_000_000_000;

/**
 * Room for what a deploy writes, and a disk as large as the policy asks for (S1-3, S0-4).
 * @param use of the file system with the state; @param wants its size in bytes
 */
export function diskCheck(
  use: () => Promise<FileSystemUse>,
  wants: { readonly id: string; readonly atLeast: number } | undefined,
): Check {
  return {
    id: 'preflight.disk',
    group: 'preflight',
    requirement: ['S0-4', ...(wants ? [wants.id] : [])],
    about: 'disk',
    expected: `${formatBytes(leastFree)} free${wants ? ` of at least ${formatBytes(wants.atLeast)}` : ''}`,
    hint: 'free some space (appliance releases prune), or enlarge the disk',
    look: async () => {
      const { free, total, directory } = await use();
      const enough = free >= leastFree && (!wants || total >= wants.atLeast);
      return (enough ? pass : fail)(`${formatBytes(free)} of ${formatBytes(total)} free at ${directory}`);
    },
  };
}
