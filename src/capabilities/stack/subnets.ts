import type { Colour } from '../../lib/colour.ts';
import { colours } from '../../lib/colour.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { numberToAddress, parseRange, type Range } from './addresses.ts';

export type Subnets = Readonly<Record<Colour, string>>;

/** A range that is in use, and by what: `route via eth0`, `network bridge`. */
export interface TakenRange {
  readonly range: string;
  readonly by: string;
}

/**
 * Picks a /24 for each colour.
 * @param pool IPv4 range to take from, for example `10.213.0.0/16`
 * @param taken routes of the host and networks of the engine, our own two left out
 * @param chosen what was chosen before; kept, because networks are not renumbered under running containers
 * @throws ApplianceError `subnet_exhausted`, naming what is in the way
 */
export function chooseSubnets(pool: string, taken: readonly TakenRange[], chosen?: Subnets): Subnets {
  if (chosen) return chosen;
  const whole = parseRange(pool);
  if (!whole) throw new ApplianceError('config_invalid', `network.pool: ${pool} is not an IPv4 range`);
  const inTheWay = taken.flatMap(({ range, by }) => {
    const parsed = parseRange(range);
    return parsed && overlap(parsed, whole) ? [{ ...parsed, by }] : [];
  });
  const free: string[] = [];
  for (let first = whole.first; first + 255 <= whole.last && free.length < colours.length; first += 256) {
    const candidate = { first, last: first + 255, text: `${numberToAddress(first)}/24` };
    if (!inTheWay.some((used) => overlap(used, candidate))) free.push(candidate.text);
  }
  const [blue, green] = free;
  if (blue !== undefined && green !== undefined) return { blue, green };
  const users = inTheWay.slice(0, 8).map(({ text, by }) => `${text} (${by})`);
  throw new ApplianceError(
    'subnet_exhausted',
    `no two /24 networks are free in ${pool}; in the way: ${users.join(', ') || 'nothing, the pool is too small'}`,
    {
      left: 'nothing was touched',
      hint: 'set network.pool in appliance.yaml to a range that this host does not use',
    },
  );
}

function overlap(a: Range, b: Range): boolean {
  return a.first <= b.last && b.first <= a.last;
}

/**
 * Reads the kernel's route table. The default route is left out: it covers everything.
 * @param text content of /proc/net/route (proc(5): little-endian hexadecimal)
 */
export function parseRoutes(text: string): TakenRange[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const fields = line.trim().split(/\s+/);
      const [device, destination, , , , , , mask] = fields;
      if (device === undefined || destination === undefined || mask === undefined) return [];
      const bits = swapBytes(mask).toString(2).replaceAll('0', '').length;
      if (bits === 0) return [];
      return [{ range: `${numberToAddress(swapBytes(destination))}/${bits}`, by: `route via ${device}` }];
    });
}

function swapBytes(hexadecimal: string): number {
  return Number.parseInt((hexadecimal.match(/../g) ?? []).reverse().join(''), 16);
}
