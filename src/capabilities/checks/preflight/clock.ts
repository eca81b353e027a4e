import type { ClockState } from '../../../host/time-sync.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';

/** Seconds that the clock may be wrong by: tokens and certificates are judged by it. */
const mostOffset = 1;

/** The clock is right (S0-4). Without a time server nobody knows. */
export function clockCheck(state: (signal: AbortSignal) => Promise<ClockState>): Check {
  return {
    id: 'preflight.clock',
    group: 'preflight',
    requirement: ['S0-4'],
    about: 'clock',
    expected: `wrong by less than ${mostOffset} s`,
    hint: 'let chrony or systemd-timesyncd keep it right',
    deadline: 6_000,
    look: async (signal) => {
      const { offset, synchronised, source } = await state(signal);
      if (offset !== null) {
        const words = `${Math.abs(offset).toFixed(3)} s ${offset < 0 ? 'behind' : 'ahead'} (${source})`;
        return (Math.abs(offset) < mostOffset ? pass : fail)(words, { samples: 1 });
      }
      if (synchronised === true) return pass('the kernel says that it is kept right');
      const kernel =
        synchronised === false ? 'the kernel says that nothing keeps it right' : 'the kernel cannot be asked';
      return inconclusive(`${kernel}; ${source}`);
    },
  };
}
