import { hueOf } from '../../api/describe.ts';
import { count, displayWidth } from '../../lib/text.ts';
import { bold, cell, clip, dim, fill, type Glyphs, type Line, type Segment, spread } from '../line.ts';
import type { Canvas } from '../screens/screen.ts';
import type { LogEntry, LogsView, State } from '../state.ts';
import { lastVisible, wantedOf } from './filter.ts';
import { type Level, levelOf, readable } from './level.ts';
import { patternOf } from './pattern.ts';

const palette = ['cyan', 'magenta', 'green', 'blueBright'] as const;
/** Widest the names of services become, in columns. */
const widestLabel = 24;
/** Lines that one entry may take when it is wrapped. */
const mostRows = 20;

const levelColors = { error: 'red', warning: 'yellow', info: undefined, debug: 'gray' } as const;
const levelSigns = { error: 'E ', warning: 'W ', info: '  ', debug: 'D ' } as const;

/** The logs: a line that says what is shown, and as many log lines as fit. */
export function logLines(state: State, canvas: Canvas): readonly Line[] {
  const { width, height, glyphs, filter } = canvas;
  const { logs, link, view } = state;
  const wanted = wantedOf(view);
  const source = view.logs.frozen ?? logs;
  const matching = filter.matching(source, wanted);
  const room = height - 1;
  const last = lastVisible(matching, view.logs.anchor, room);
  const newer = view.logs.frozen ? filter.newer(state, view.logs.frozen, wanted) : 0;
  const head = spread(
    headSegments(view.logs, wanted.pattern, matching.length, {
      searching: view.typing?.purpose === 'search',
      leftOut: source.length - matching.length,
    }),
    [
      view.logs.anchor === undefined
        ? { text: link.kind === 'up' ? `${glyphs.running} following ` : 'waiting for the agent ', color: 'green' }
        : {
            text: `paused ${glyphs.dot} ${matching.length - 1 - last + newer} newer `,
            color: 'yellow',
            bold: true,
          },
    ],
    width,
    glyphs.cut,
  );
  if (matching.length === 0) {
    const why =
      source.length === 0
        ? 'Nothing was written yet; lines appear as they come.'
        : 'No line matches; Esc drops the filter, e chooses other levels.';
    return fill([head, [dim(`   ${why}`)]], height);
  }
  const label = Math.min(
    widestLabel,
    Math.floor(width / 3),
    matching
      .slice(Math.max(0, last + 1 - room), last + 1)
      .reduce((most, one) => Math.max(most, displayWidth(one.label)), 1),
  );
  const looked = view.typing?.purpose === 'search' ? view.typing.text : view.logs.search;
  const style: Style = { view: view.logs, label, looked, width, glyphs };
  const drawn: Line[] = [];
  for (let index = last; index >= 0 && drawn.length < room; index -= 1) {
    const entry = matching[index];
    if (entry) drawn.unshift(...entryLines(entry, style));
  }
  return fill([head, ...drawn.slice(-room)], height);
}

function headSegments(
  view: LogsView,
  pattern: string,
  matching: number,
  { searching, leftOut }: { readonly searching: boolean; readonly leftOut: number },
): Segment[] {
  const literal = pattern !== '' && patternOf(pattern).literal;
  return [
    { text: ' ' },
    bold(view.service ?? 'all services'),
    ...(pattern === ''
      ? []
      : [dim('  matching '), { text: literal ? `"${pattern}"` : `/${pattern}/`, color: 'yellow' }]),
    ...(view.level === 'warnings' || view.level === 'errors'
      ? [{ text: `  ${view.level} only`, color: 'yellow' }]
      : []),
    dim(`  ${count(matching, 'line')}`),
    dim(view.level === 'usual' && pattern === '' && leftOut > 0 ? `, ${leftOut} of debug left out` : ''),
    ...(view.search === '' || searching ? [] : [dim('  search '), { text: view.search, inverse: true }]),
    ...(view.shift > 0 && !view.wrap ? [dim(`  from column ${view.shift + 1}`)] : []),
  ];
}

interface Style {
  readonly view: LogsView;
  readonly label: number;
  readonly looked: string;
  readonly width: number;
  readonly glyphs: Glyphs;
}

/** One entry: a line, or several when it is wrapped. */
function entryLines(entry: LogEntry, { view, label, looked, width, glyphs }: Style): Line[] {
  const level = levelOf(entry.text);
  const text = view.raw ? entry.text : readable(entry.text);
  const time = view.times ? `${clockOf(entry.time)} ` : '';
  const lead: Segment[] = [
    ...(time === '' ? [] : [dim(` ${time.trimEnd()}`)]),
    { text: ` ${cell(entry.label, label, glyphs.cut)} `, color: palette[hueOf(entry.service, palette.length)] },
    signOf(level, entry.error),
  ];
  const indent = time.length + label + 4;
  const color = level === undefined ? undefined : levelColors[level];
  if (!view.wrap) {
    const shown = view.shift === 0 ? text : [...text].slice(view.shift).join('');
    return [clip([...lead, ...highlighted(shown, looked, color)], width, glyphs.cut)];
  }
  const rows = broken(text, Math.max(10, width - indent)).slice(0, mostRows);
  return rows.map((row, index) =>
    clip(
      [...(index === 0 ? lead : [{ text: ' '.repeat(indent) }]), ...highlighted(row, looked, color)],
      width,
      glyphs.cut,
    ),
  );
}

/** The sign of a line: its level, else `!` for what came from stderr. */
function signOf(level: Level, error: boolean): Segment {
  if (level === 'error' || level === 'warning') {
    return { text: levelSigns[level], color: levelColors[level], bold: true };
  }
  if (error) return { text: '! ', color: 'red', bold: true };
  return dim(level === 'debug' ? levelSigns.debug : '| ');
}

function clockOf(time: string | null): string {
  return time === null ? '--:--:--.---' : (/T(\d\d:\d\d:\d\d(?:\.\d{1,3})?)/.exec(time)?.[1] ?? time).padEnd(12, '0');
}

/** Text with what is searched for set apart. */
function highlighted(text: string, looked: string, color: string | undefined): Segment[] {
  const places = looked === '' ? [] : patternOf(looked).places(text);
  if (places.length === 0) return [{ text, color }];
  const out: Segment[] = [];
  let at = 0;
  for (const [from, to] of places) {
    if (from > at) out.push({ text: text.slice(at, from), color });
    out.push({ text: text.slice(from, to), inverse: true, bold: true });
    at = to;
  }
  return at < text.length ? [...out, { text: text.slice(at), color }] : out;
}

/** Breaks a text after so many columns. */
function broken(text: string, width: number): string[] {
  const rows: string[] = [];
  let row = '';
  let used = 0;
  for (const character of text) {
    const columns = displayWidth(character);
    if (used + columns > width) {
      rows.push(row);
      if (rows.length >= mostRows) return rows;
      row = '';
      used = 0;
    }
    row += character;
    used += columns;
  }
  return [...rows, row];
}
