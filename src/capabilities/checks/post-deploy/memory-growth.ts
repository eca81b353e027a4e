import { count } from '../../../lib/text.ts';
import { formatBytes, formatDuration } from '../../../lib/units.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';
import { byContainer, type UsageSample } from './usage.ts';

/** S1-58 names no number: what counts as growth is chosen. Both must be exceeded. */
const grownShare = 0.2;
const grownBytes = 64 * 1024 * 1024;
/** Samples that a trend takes, without those of the warm-up. */
const fewest = 6;
/** One-sided 1 %: by chance alone, one container in a hundred would seem to grow. */
const beyondChance = 2.33;

export interface Growth {
  readonly container: string;
  /** Bytes: median of the first and of the last third. */
  readonly from: number;
  readonly to: number;
  readonly samples: number;
  readonly grows: boolean;
}

/**
 * Whether the memory of a container grows and goes on growing. The first quarter of the time is warm-up; then the last third
 * is compared with the first, and a rank test (Mann and Kendall) tells a trend from a step or from noise. Pure.
 * @returns undefined while there are too few samples
 */
export function growthOf(container: string, samples: readonly UsageSample[]): Growth | undefined {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last) return undefined;
  const warm = first.at + (last.at - first.at) / 4;
  const values = samples.filter(({ at }) => at >= warm).map(({ memory }) => memory);
  if (values.length < fewest) return undefined;
  const third = Math.floor(values.length / 3);
  const [from, to] = [median(values.slice(0, third)), median(values.slice(-third))];
  const large = to - from > grownBytes && to > from * (1 + grownShare);
  return { container, from, to, samples: values.length, grows: large && trend(values) > beyondChance };
}

/** Statistic of the test of Mann and Kendall, about normally distributed where there is no trend; ties count as none. */
function trend(values: readonly number[]): number {
  const n = values.length;
  let rising = 0;
  values.forEach((value, index) => {
    for (const earlier of values.slice(0, index)) rising += Math.sign(value - earlier);
  });
  return (rising - Math.sign(rising)) / Math.sqrt((n * (n - 1) * (2 * n + 5)) / 18);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const high = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? high) + high) / 2;
}

/** No container needs more and more memory (S1-58). */
export function memoryGrowthCheck(samples: () => readonly UsageSample[]): Check {
  return {
    id: 'post-deploy.memory-growth',
    group: 'post-deploy',
    requirement: ['S1-58'],
    about: 'growth of memory',
    expected: 'no container grows steadily by more than a fifth',
    hint: 'appliance stats shows it now; appliance restart SERVICE gives the memory back until the cause is found',
    look: async () => {
      const seen = samples();
      const growths = [...byContainer(seen)].flatMap(([name, own]) => growthOf(name, own) ?? []);
      const span = (seen.at(-1)?.at ?? 0) - (seen[0]?.at ?? 0);
      if (growths.length === 0) {
        const most = Math.max(0, ...[...byContainer(seen).values()].map((own) => own.length));
        // A quarter is warm-up.
        const needed = Math.max(1, Math.ceil((fewest * 4) / 3) + 1 - most);
        return inconclusive('the containers were not measured often enough yet', {
          samples: most,
          needed,
          hint: 'a running agent measures them, every 5 minutes at first',
        });
      }
      const over = ` within ${formatDuration(span)}`;
      const growing = growths.filter(({ grows }) => grows);
      const words = ({ container, from, to }: Growth) => `${container} ${formatBytes(from)} → ${formatBytes(to)}`;
      return growing.length > 0
        ? fail(`${growing.map(words).join(', ')}${over}`, { samples: seen.length })
        : pass(`${count(growths.length, 'container')} steady${over}`, { samples: seen.length });
    },
  };
}
