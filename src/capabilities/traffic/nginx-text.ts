import { ApplianceError } from '../../lib/errors.ts';

/**
 * A text as one parameter of an nginx directive. nginx has no way to write a dollar sign where variables are expanded,
 * so there it becomes the variable `$appliance_dollar`, which the configuration defines.
 * @param expanded whether nginx expands variables in this place
 * @throws ApplianceError `config_invalid` for control characters: none belongs into a path, name or tag
 */
export function quote(text: string, expanded = true): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\x00-\x1f\x7f]/.test(text)) {
    throw new ApplianceError('config_invalid', `${JSON.stringify(text)} holds a control character`, {
      left: 'the edge was not touched',
    });
  }
  const escaped = text.replace(/["\\]/g, '\\$&');
  // A function, because "$$" in a replacement text would mean one dollar sign.
  return `"${expanded ? escaped.replace(/\$/g, () => `\${appliance_dollar}`) : escaped}"`;
}

/** Puts lines into a block, indented by two blanks; lines that are false are left out. */
export function block(head: string, lines: readonly (string | false)[]): string {
  const body = lines
    .filter((line) => line !== false)
    .join('\n')
    .replace(/^(?=.)/gm, '  ');
  return `${head} {\n${body}\n}`;
}

/** `map` of an nginx variable; the values are written as they are. */
export function map(source: string, target: string, entries: readonly (readonly [string, string])[]): string {
  return block(
    `map ${source} $${target}`,
    entries.map(([key, value]) => `${key} ${value};`),
  );
}

/** A time as people write it: `15s`, or `1500ms` where it is no whole second. @param ms milliseconds */
export function time(ms: number): string {
  return ms % 1_000 === 0 ? `${ms / 1_000}s` : `${Math.ceil(ms)}ms`;
}
