import type { KeyTable } from '../key-table.ts';
import type { Binding } from '../keys.ts';
import { blank, bold, dim, type Glyphs, type Line } from '../line.ts';
import type { ScreenName } from '../screen-names.ts';
import type { Room } from './columns.ts';
import { spoken } from './frame.ts';
import { scrolledLines } from './over.ts';
import { screenOf, screens } from './table.ts';

/** The help, made from the table of keys: this screen first, then what is the same on all, then the other screens. */
export function helpLines(
  screen: ScreenName,
  keys: KeyTable,
  top: number,
  room: Room,
  glyphs: Glyphs,
): readonly Line[] {
  return scrolledLines(helpText(screen, keys, glyphs), top, room, glyphs);
}

/** All of the help, however long. */
export function helpText(screen: ScreenName, keys: KeyTable, glyphs: Glyphs): readonly Line[] {
  const others = screens.filter(({ name, actions }) => name !== screen && actions.length > 0);
  const part = (title: string, scope: string, test: (binding: Binding) => boolean = () => true): Line[] => {
    const shown = keys.bindings.filter((binding) => binding.scope === scope && test(binding));
    return shown.length === 0
      ? []
      : [blank, [bold(` ${title}`)], ...shown.map((binding) => bindingLine(binding, glyphs))];
  };
  const isScreen = ({ action }: Binding) => action.startsWith('screen.');
  return [
    [dim(' Keys, from the same table that they are taken from. * changes something; a dialog asks first.')],
    ...part(screenOf(screen).title, screen),
    ...part('Moving about', 'moving'),
    ...part('Everywhere', 'everywhere', (binding) => !isScreen(binding)),
    ...part('Screens', 'everywhere', isScreen),
    ...others.flatMap(({ title, name }) => part(title, name)),
  ];
}

function bindingLine({ keys, help, changes }: Binding, glyphs: Glyphs): Line {
  const names = keys.map((key) => spoken(key, glyphs)).join('  ');
  return [{ text: `   ${names.padEnd(22)} `, color: 'cyan' }, { text: help }, ...(changes === true ? [dim(' *')] : [])];
}
