import type { VerbSpec } from './catalog/spec.ts';
import { specOf, verbNames } from './catalog.ts';

/** One verb for the command palette of the screens. */
interface PaletteVerb {
  readonly name: string;
  /** `<tag> [--policy NAME]` */
  readonly usage: string;
  readonly summary: string;
  /** Arguments that it cannot do without. */
  readonly required: number;
}

/** Every verb of the table, for the command palette of the screens. */
export function paletteVerbs(): readonly PaletteVerb[] {
  return verbNames.map((name) => {
    const spec = specOf(name);
    return {
      name,
      usage: usageOf(spec),
      summary: spec.summary,
      required: (spec.args ?? []).filter(({ required }) => required === true).length,
    };
  });
}

function usageOf({ args = [], options = {} }: VerbSpec): string {
  return [
    ...args.map(({ name, required, many }) => {
      const text = many === true ? `${name}...` : name;
      return required === true ? `<${text}>` : `[${text}]`;
    }),
    ...Object.entries(options).map(([name, { value }]) => `[--${name}${value === undefined ? '' : ` ${value}`}]`),
  ].join(' ');
}
