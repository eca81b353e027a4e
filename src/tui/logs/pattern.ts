/** What somebody is looking for. */
export interface Pattern {
  readonly test: (text: string) => boolean;
  /** Where it occurs, as pairs of begin and end. */
  readonly places: (text: string) => readonly (readonly [number, number])[];
  /** Set when it is not a valid expression and is taken as plain text. */
  readonly literal: boolean;
}

/** Places that are highlighted in one line. */
const mostPlaces = 50;

/** Expressions that were compiled last: a filter and a search are used by turns. */
const compiled = new Map<string, Pattern>();
const mostCompiled = 8;

/** A search is a regular expression that ignores case; while it is not a valid one, it is plain text. */
export function patternOf(text: string): Pattern {
  const known = compiled.get(text);
  if (known) return known;
  const pattern = compile(text);
  if (compiled.size >= mostCompiled) compiled.clear();
  compiled.set(text, pattern);
  return pattern;
}

function compile(text: string): Pattern {
  let expression: RegExp;
  let literal = false;
  try {
    expression = new RegExp(text, 'gi');
  } catch {
    expression = new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'), 'gi');
    literal = true;
  }
  return {
    literal,
    test: (line) => {
      expression.lastIndex = 0;
      return expression.test(line);
    },
    places: (line) => {
      const found: [number, number][] = [];
      for (const match of line.matchAll(expression)) {
        if (match[0] !== '') found.push([match.index, match.index + match[0].length]);
        if (found.length >= mostPlaces) break;
      }
      return found;
    },
  };
}
