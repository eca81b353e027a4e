import { type Binding, bindings, type Scope } from '../keys.ts';
import { blank, bold, clip, dim, fill, type Glyphs, type Line } from '../line.ts';
import { spoken } from './frame.ts';

const titles: Readonly<Record<Scope, string>> = { everywhere: 'Everywhere', overview: 'Overview', logs: 'Logs' };

/** The help, made from the table of keys. @param top first line that is visible */
export function helpLines(
  top: number,
  room: { readonly width: number; readonly height: number },
  glyphs: Glyphs,
): readonly Line[] {
  const all = (Object.keys(titles) as Scope[]).flatMap((scope) => [
    blank,
    [bold(` ${titles[scope]}`)],
    ...bindings.filter((binding) => binding.scope === scope).map((binding) => bindingLine(binding, room.width, glyphs)),
  ]);
  const first = Math.min(top, Math.max(0, all.length - room.height));
  const visible = all.slice(first, first + room.height);
  if (first + room.height < all.length && visible.length > 0) {
    visible[visible.length - 1] = [dim(`   ${glyphs.down} more below`)];
  }
  return fill(visible, room.height);
}

function bindingLine({ keys, help }: Binding, width: number, glyphs: Glyphs): Line {
  const names = keys.map((key) => spoken(key, glyphs)).join('  ');
  return clip([{ text: `   ${names.padEnd(16)} `, color: 'cyan' }, { text: help }], width, glyphs.cut);
}
