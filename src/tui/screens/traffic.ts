import type { Status } from '../../api/schema.ts';
import { dim, type Glyphs, type Line, type Segment } from '../line.ts';
import { colourOf } from './signs.ts';

/** `blue 30 % ████████░░░░░░░░░░░░ green 70 %` */
export function trafficBar(traffic: Status['traffic'], width: number, glyphs: Glyphs): Line {
  const left = `blue ${traffic.blue} % `;
  const right = ` green ${traffic.green} %`;
  const length = Math.min(40, Math.max(4, width - left.length - right.length));
  const total = traffic.blue + traffic.green;
  const blue = total === 0 ? 0 : Math.round((traffic.blue / total) * length);
  // A colour that gets any traffic at all is seen in the bar.
  const shown = Math.min(traffic.green > 0 ? length - 1 : length, Math.max(traffic.blue > 0 ? 1 : 0, blue));
  const side = (weight: number, colour: 'blue' | 'green', text: string): Segment => ({
    text,
    color: colourOf(colour),
    dim: weight === 0,
  });
  if (total === 0) return [dim(`${left}${glyphs.empty.repeat(length)}${right}`)];
  return [
    side(traffic.blue, 'blue', left),
    { text: glyphs.full.repeat(shown), color: colourOf('blue') },
    { text: glyphs.empty.repeat(length - shown), color: colourOf('green') },
    side(traffic.green, 'green', right),
  ];
}
