import { formatBytes } from '../../../lib/units.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';

export interface MemoryUse {
  /** Bytes that the live release uses, its models among them; null when nothing is live. */
  readonly used: number | null;
  /** Bytes that new programs can have. */
  readonly available: number | null;
}

/** Two releases, each with its model, fit into memory side by side (S0-4, S4-19). */
export function roomForTwoCheck(use: () => Promise<MemoryUse>): Check {
  return {
    id: 'preflight.room-for-two',
    group: 'preflight',
    requirement: ['S0-4', 'S4-19'],
    about: 'room for two releases with their models',
    expected: 'as much memory available as the live release uses',
    hint: 'deploy with --strategy recreate, which stops one before it starts the other',
    look: async () => {
      const { used, available } = await use();
      if (available === null) return inconclusive('the kernel does not tell how much memory is available');
      if (used === null) return pass(`${formatBytes(available)} available, nothing is live yet`);
      return (used <= available ? pass : fail)(`${formatBytes(used)} used, ${formatBytes(available)} available`);
    },
  };
}
