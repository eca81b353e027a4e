import type { Status } from '../../api/schema.ts';
import { oneLine } from '../../lib/text.ts';
import { clip, dim, type Glyphs, type Line } from '../line.ts';
import type { Room } from './columns.ts';
import { verdictColors } from './signs.ts';

/** What is not as it should be; at most a third of the screen. */
export function problemLines(
  status: Pick<Status, 'findings' | 'alerts'>,
  { width, height }: Room,
  glyphs: Glyphs,
): Line[] {
  const findings = status.findings
    .filter(({ verdict }) => verdict !== 'pass')
    .flatMap(({ verdict, observed, expected, hint }): Line[] => [
      [
        { text: ` ${glyphs[verdict]} `, color: verdictColors[verdict], bold: true },
        { text: oneLine(observed) },
        dim(expected === undefined ? '' : `, expected ${oneLine(expected)}`),
      ],
      ...(hint === undefined ? [] : [[dim(`   ${glyphs.arrow} ${oneLine(hint)}`)]]),
    ]);
  const alerts = status.alerts
    .filter(({ severity }) => severity !== 'info')
    .map(
      ({ severity, summary }): Line => [
        { text: ` ${glyphs.fail} `, color: 'red', bold: true },
        { text: `${severity}: ${oneLine(summary)}` },
      ],
    );
  const all = [...findings, ...alerts, ...newsLines(status.alerts, glyphs)];
  if (all.length === 0) return [];
  const most = Math.max(2, Math.floor(height / 3));
  const shown = all.length > most ? [...all.slice(0, most - 1), [dim('   and more: appliance status')]] : all;
  return shown.map((line) => clip(line, width, glyphs.cut));
}

/** News is no fault: one line for all of it. */
function newsLines(alerts: Status['alerts'], glyphs: Glyphs): Line[] {
  const [newest, ...others] = alerts.filter(({ severity }) => severity === 'info');
  if (newest === undefined) return [];
  const more = others.length === 0 ? '' : `  and ${others.length} more on Alerts`;
  return [[dim(` ${glyphs.skipped} `), { text: `info: ${oneLine(newest.summary)}` }, dim(more)]];
}
