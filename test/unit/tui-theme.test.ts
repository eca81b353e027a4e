import { describe, expect, it } from 'vitest';
import { LogFilter } from '../../src/tui/logs/filter.ts';
import { Film } from '../../src/tui/picture.ts';
import { noRequests } from '../../src/tui/series.ts';
import { onLight, painter } from '../../src/tui/theme.ts';
import { keys, logEntry, recordedState, utf8, verbs } from '../support/screens.ts';

const line = [
  { text: 'a', color: 'green', bold: true },
  { text: 'b', dim: true },
  { text: 'c', inverse: true },
];

describe('what a terminal is sent', () => {
  it('is a colour of its own palette on a dark background', () => {
    expect(painter(true, 'dark', { TERM: 'xterm-256color' })(line)).toBe(
      '\u001b[32m\u001b[1ma\u001b[22m\u001b[39m\u001b[2mb\u001b[22m\u001b[7mc\u001b[27m',
    );
  });

  it('is one that can be read on white where there are 256, else one of the sixteen', () => {
    expect(painter(true, 'light', { TERM: 'xterm-256color' })([{ text: 'a', color: 'yellow' }])).toBe(
      '\u001b[38;5;94ma\u001b[39m',
    );
    expect(painter(true, 'light', { TERM: 'linux' })([{ text: 'a', color: 'blueBright' }])).toBe(
      '\u001b[34ma\u001b[39m',
    );
  });

  it('is weight and inverse without colours, and nothing but text where there is neither', () => {
    expect(painter(false, 'light', { TERM: 'xterm-256color' })(line)).toBe(
      '\u001b[1ma\u001b[22m\u001b[2mb\u001b[22m\u001b[7mc\u001b[27m',
    );
    expect(painter(true, 'dark', { TERM: 'dumb' })(line)).toBe('abc');
  });

  it.each(Object.entries(onLight))('%s has a contrast of 4.5 to 1 on white', (_, index) => {
    expect(1.05 / (luminance(index) + 0.05)).toBeGreaterThanOrEqual(4.5);
  });
});

/** Relative luminance (WCAG 2.2) of a colour of the palette of 256, as xterm has it. */
function luminance(index: number): number {
  const levels = [0, 95, 135, 175, 215, 255];
  const grey = 8 + (index - 232) * 10;
  const cube = [Math.floor((index - 16) / 36), Math.floor((index - 16) / 6) % 6, (index - 16) % 6];
  const [red = 0, green = 0, blue = 0] = (index >= 232 ? [grey, grey, grey] : cube.map((at) => levels[at] ?? 0)).map(
    (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4),
  );
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

describe('a frame that says the same', () => {
  const canvas = { width: 120, height: 40, glyphs: utf8, filter: new LogFilter() };

  it('is the same, and so is each line of one that does not', () => {
    const film = new Film(keys, verbs);
    const state = recordedState();
    const first = film.lines(state, canvas);
    expect(film.lines({ ...state, now: state.now + 1 }, canvas)).toBe(first);
    expect(film.lines({ ...state, now: state.now + 1, logs: [logEntry(1, 'new')] }, canvas)).toBe(first);
    const next = film.lines({ ...state, requests: noRequests }, canvas);
    expect(next.flatMap((line, index) => (line === first[index] ? [] : [index]))).toEqual([5]);
  });

  it('is another one when the terminal has another size', () => {
    const film = new Film(keys, verbs);
    const state = recordedState();
    expect(film.lines(state, canvas)).toHaveLength(40);
    expect(film.lines(state, { ...canvas, height: 30 })).toHaveLength(30);
  });
});
