import { namedKeys } from '../keys.ts';

/** Characters that one line takes. */
const longest = 500;

/** A line after one more key; undefined when the key is none that edits. @param name as `keys.ts` names keys */
export function edited(text: string, name: string): string | undefined {
  if (name === 'Backspace') return [...text].slice(0, -1).join('');
  if (name === 'Ctrl-U') return '';
  if (name === 'Ctrl-W') return text.replace(/\S*\s*$/, '');
  if (namedKeys.has(name)) return undefined;
  const character = name === 'Space' ? ' ' : name;
  if ([...character].length !== 1 || character < ' ' || text.length >= longest) return undefined;
  return text + character;
}
