import type { Look } from './look.ts';

const bars = { unicode: [...'▁▂▃▄▅▆▇█'], ascii: [...'_.-=+*%#'] } as const;

/**
 * Numbers as a line of bars, the lowest to the highest of them; where all are equal, in the middle.
 * @param values in their order; null where there is none, drawn as a gap
 */
export function sparkline(values: readonly (number | null)[], look: Pick<Look, 'unicode'>): string {
  const shapes = look.unicode ? bars.unicode : bars.ascii;
  const known = values.filter((value) => value !== null);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  return values
    .map((value) => {
      if (value === null) return ' ';
      const share = high === low ? 0.5 : (value - low) / (high - low);
      return shapes[Math.min(shapes.length - 1, Math.floor(share * shapes.length))] ?? '';
    })
    .join('');
}
