import type { SequenceStep } from '../../../config/sequences.ts';

/** A text names a variable that nobody has. */
export class MissingVariable extends Error {
  override readonly name = 'MissingVariable';
}

type Lookup = (name: string) => string | undefined;

/** Fills `${NAME}` in. @throws MissingVariable */
export function filled(text: string, lookup: Lookup): string {
  return text.replace(/\$\{([A-Za-z_]\w*)\}/g, (_, name: string) => {
    const value = lookup(name);
    if (value === undefined) throw new MissingVariable(name);
    return value;
  });
}

/** The body of a step as text; undefined without one. @throws MissingVariable */
export function bodyOf({ json, fill }: Pick<SequenceStep, 'json' | 'fill'>, lookup: Lookup): string | undefined {
  if (json === undefined && fill === undefined) return undefined;
  const document = filledJson(json ?? {}, lookup);
  if (!fill || typeof document !== 'object' || document === null) return JSON.stringify(document);
  const values = Array.from({ length: fill.count }, (_, index) => fill.values[index % fill.values.length]);
  return JSON.stringify({ ...document, [fill.key]: values });
}

function filledJson(value: unknown, lookup: Lookup): unknown {
  if (typeof value === 'string') return filled(value, lookup);
  if (Array.isArray(value)) return value.map((one) => filledJson(one, lookup));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, filledJson(inner, lookup)]));
}
