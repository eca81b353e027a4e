import { count, wrap } from '../../lib/text.ts';
import { mayGo } from '../hands/dialog.ts';
import { choicesFor, type PaletteVerb } from '../hands/palette.ts';
import { blank, bold, broken, cell, clip, dim, fill, type Glyphs, type Line, plain, type Segment } from '../line.ts';
import type { Dialog, Overlay, State } from '../state.ts';
import { windowAround } from '../window.ts';
import type { Room } from './columns.ts';
import { planLines } from './plan.ts';
import { screens } from './table.ts';

/** A text that may be longer than the screen, from a line on, with a sign where more follows. */
export function scrolledLines(
  all: readonly Line[],
  top: number,
  { width, height }: Room,
  glyphs: Glyphs,
): readonly Line[] {
  const first = Math.min(top, Math.max(0, all.length - height));
  const visible = all.slice(first, first + height).map((line) => clip(line, width, glyphs.cut));
  if (first + height < all.length && visible.length > 0)
    visible[visible.length - 1] = [dim(`   ${glyphs.down} more below`)];
  return fill(visible, height);
}

/** All about one thing, as the agent answered it. */
export function lookLines(look: Extract<Overlay, { kind: 'look' }>, room: Room, glyphs: Glyphs): readonly Line[] {
  const head: Line[] = [clip([bold(` ${look.title}`), dim(`  ${look.command}`)], room.width, glyphs.cut), blank];
  const { lines, room: height } = lookText(look, room);
  return [...head, ...scrolledLines(lines, look.top, { ...room, height }, glyphs)].slice(0, room.height);
}

/** All lines below the title, long ones broken, and how many of them are seen at once. */
export function lookText(look: Extract<Overlay, { kind: 'look' }>, { width, height }: Room) {
  const lines = look.lines?.flatMap((line) => broken([{ text: '  ' }, ...line], width)) ?? [
    [dim('   asking the agent')],
  ];
  return { lines, size: lines.length, room: height - 2 };
}

/** Exactly what an order does, the command that does the same, and the question whether to go on. */
export function dialogLines(dialog: Dialog, room: Room, glyphs: Glyphs): readonly Line[] {
  const { order, go } = dialog;
  const { width, height } = room;
  const happens = happensLines(dialog, width, glyphs);
  const head: Line[] = [
    clip([{ text: ` ${glyphs.arrow} `, color: 'cyan', bold: true }, bold(order.command)], width, glyphs.cut),
    [dim(' The same in a shell. What it does:')],
  ];
  const ready = mayGo(dialog);
  const asks: Line[] =
    order.severity === 'severe'
      ? [
          clip(
            [
              { text: ` ${glyphs.fail} `, color: 'red', bold: true },
              { text: `Type ${order.name ?? ''} to go on: ` },
              bold(dialog.typed),
              { text: ' ', inverse: true },
            ],
            width,
            glyphs.cut,
          ),
        ]
      : [];
  const button = (text: string, marked: boolean, usable = true): Segment => ({
    text: ` ${text} `,
    inverse: marked,
    bold: marked,
    dim: !usable,
  });
  const foot: Line[] = [
    ...asks,
    clip(
      [
        { text: ' ' },
        button(`${go ? glyphs.none : glyphs.cursor} Cancel`, !go),
        { text: '  ' },
        button(`${go ? glyphs.cursor : glyphs.none} Go on`, go, ready),
        dim(ready ? '   Tab chooses, Enter does it, Esc cancels' : `   ${whyNot(dialog)}`),
      ],
      width,
      glyphs.cut,
    ),
  ];
  // The buttons stand right below what they are about.
  const body = scrolledLines(happens, dialog.top, { width, height: dialogText(dialog, room, glyphs).room }, glyphs);
  return fill([...head, blank, ...body, blank, ...foot], height).slice(0, height);
}

/** How many lines say what an order does, and how many of them are seen at once. */
export function dialogText(dialog: Dialog, { width, height }: Room, glyphs: Glyphs) {
  const size = happensLines(dialog, width, glyphs).length;
  // Around them: the command, what it is, two blanks, and the buttons below what must be typed.
  const around = dialog.order.severity === 'severe' ? 6 : 5;
  return { size, room: Math.min(size, Math.max(1, height - around)) };
}

function whyNot({ plan, order, typed }: Dialog): string {
  if (plan === 'asking') return 'waiting for the plan';
  if (plan !== undefined && 'message' in plan) return 'it cannot be done now; Esc goes back';
  if (order.severity === 'severe' && typed !== order.name) return `the name must be typed; Esc cancels`;
  return 'there is nothing to do; Esc goes back';
}

function happensLines({ order, plan }: Dialog, width: number, glyphs: Glyphs): Line[] {
  const said = order.happens.flatMap((text) => wrap(text, width - 6).map((line) => plain(`   ${line}`)));
  if (order.plan === undefined || plan === undefined) return said;
  if (plan === 'asking') return [...said, [dim('   asking the agent for the plan')]];
  if ('message' in plan) {
    return [
      ...wrap(plan.message, width - 6).map(
        (text, index): Line => [{ text: index === 0 ? ` ${glyphs.fail} ` : '   ', color: 'red', bold: true }, { text }],
      ),
      ...(plan.hint === undefined ? [] : [[dim(`   ${glyphs.arrow} ${plan.hint}`)]]),
    ];
  }
  return [...said, ...planLines(plan, width, glyphs)];
}

/** The palette: what is typed, and the verbs and screens that fit. */
export function paletteLines(
  palette: Extract<Overlay, { kind: 'palette' }>,
  verbs: readonly PaletteVerb[],
  { width, height }: Room,
  glyphs: Glyphs,
): readonly Line[] {
  const choices = choicesFor(palette.text, verbs, screens);
  const chosen = Math.min(palette.chosen, choices.length - 1);
  const rows = Math.max(1, height - 4);
  const { first } = windowAround(choices.length, rows, chosen);
  const name = Math.min(24, Math.max(12, Math.floor(width / 3)));
  return fill(
    [
      clip([dim(' appliance '), bold(palette.text), { text: ' ', inverse: true }], width, glyphs.cut),
      clip(
        [dim(` ${count(choices.length, 'command')}; Tab completes, Enter runs it, Esc goes back`)],
        width,
        glyphs.cut,
      ),
      blank,
      ...(choices.length === 0 ? [[dim('   nothing fits to that')]] : []),
      ...choices.slice(first, first + rows).map((choice, index) => {
        const marked = first + index === chosen;
        return clip(
          [
            { text: marked ? ` ${glyphs.cursor} ` : '   ', color: 'cyan', bold: true },
            { text: cell(choice.name, name, glyphs.cut), bold: marked },
            dim(`  ${choice.summary}`),
            dim(choice.usage === '' ? '' : `  ${choice.usage}`),
          ],
          width,
          glyphs.cut,
        );
      }),
    ],
    height,
  );
}

/** Asks before leaving, with what would be lost. */
export function leaveLines(
  { waiting }: Pick<State, 'waiting'>,
  go: boolean,
  { width, height }: Room,
  glyphs: Glyphs,
): readonly Line[] {
  return fill(
    [
      [bold(' Quit?')],
      plain(' The answer to this would be lost; an operation that has begun goes on:'),
      blank,
      ...waiting.map((command) => plain(`   ${command}`)),
      blank,
      [
        { text: ' ' },
        { text: ` ${go ? glyphs.none : glyphs.cursor} Stay `, inverse: !go, bold: !go },
        { text: '  ' },
        { text: ` ${go ? glyphs.cursor : glyphs.none} Quit `, inverse: go, bold: go },
        dim('   y quits, n stays'),
      ],
    ].map((line) => clip(line, width, glyphs.cut)),
    height,
  );
}
