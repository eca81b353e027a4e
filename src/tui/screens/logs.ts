import { hueOf } from '../../api/describe.ts';
import { count } from '../../lib/text.ts';
import { bold, clip, dim, fill, type Glyphs, type Line, spread } from '../line.ts';
import type { LogFilter } from '../log-view.ts';
import type { LogEntry, State } from '../state.ts';

type Shown = Pick<State, 'logs' | 'link' | 'view'>;

const palette = ['cyan', 'yellow', 'magenta', 'green', 'blueBright', 'red'] as const;
/** Widest the names of services become, in columns. */
const widestLabel = 24;

/** The logs: a line that says what is shown, and as many log lines as fit. */
export function logLines(
  { logs, link, view }: Shown,
  room: { readonly width: number; readonly height: number },
  filter: LogFilter,
  glyphs: Glyphs,
): readonly Line[] {
  const { entries, matching, below, literal } = filter.window(logs, view, room.height - 1);
  const pattern = view.typing ?? view.filter;
  const head = spread(
    [
      { text: ' ' },
      bold(view.service ?? 'all services'),
      ...(pattern === ''
        ? []
        : [dim('  matching '), { text: literal ? `"${pattern}"` : `/${pattern}/`, color: 'yellow' }]),
      dim(`  ${count(matching, 'line')}`),
      ...(view.shift > 0 ? [dim(`  from column ${view.shift + 1}`)] : []),
    ],
    [
      view.anchor === undefined
        ? { text: link.kind === 'up' ? 'following ' : 'waiting for the agent ', color: 'green' }
        : { text: `paused ${glyphs.dot} ${below} newer `, color: 'yellow', bold: true },
    ],
    room.width,
    glyphs.cut,
  );
  if (entries.length === 0) {
    const why = pattern === '' ? 'nothing was written yet' : 'no line matches';
    return fill([head, [dim(`  ${why}`)]], room.height);
  }
  const label = Math.min(
    widestLabel,
    Math.floor(room.width / 3),
    Math.max(...entries.map((entry) => entry.label.length)),
  );
  return fill([head, ...entries.map((entry) => logLine(entry, label, view.shift, room.width, glyphs))], room.height);
}

function logLine(entry: LogEntry, label: number, shift: number, width: number, glyphs: Glyphs): Line {
  const name =
    entry.label.length > label ? `${entry.label.slice(0, label - 1)}${glyphs.cut}` : entry.label.padEnd(label);
  const text = shift === 0 ? entry.text : [...entry.text].slice(shift).join('');
  return clip(
    [
      { text: ` ${name} `, color: palette[hueOf(entry.service, palette.length)] },
      entry.error ? { text: '! ', color: 'red', bold: true } : dim('| '),
      { text },
    ],
    width,
    glyphs.cut,
  );
}
