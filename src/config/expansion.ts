import { type Document, isAlias, isCollection, isPair, isScalar, type Node } from 'yaml';

/**
 * Most values that a YAML file may stand for once its aliases are followed. Compose needs about 2 kB for each; files that
 * people write have a few thousand.
 */
const mostValues = 100_000;

/**
 * Finds aliases that multiply ("billion laughs"): a kilobyte of text can stand for 10¹⁰ values, which fill any memory that
 * follows them. Pure; takes time in proportion to the text, not to what it stands for.
 * @returns the alias with which the document first stands for more than `limit` values
 */
export function explodingAlias(document: Document, limit = mostValues): Node | undefined {
  const sizes = new Map<string, number>();
  let total = 0;
  let found: Node | undefined;
  const count = (node: unknown): void => {
    if (isPair(node)) {
      count(node.key);
      count(node.value);
    } else if (isAlias(node)) {
      total += sizes.get(node.source) ?? 1;
      if (total > limit) found ??= node;
    } else {
      const before = total;
      total += 1;
      if (isCollection(node)) for (const item of node.items) count(item);
      if ((isCollection(node) || isScalar(node)) && node.anchor !== undefined) sizes.set(node.anchor, total - before);
    }
  };
  count(document.contents);
  return found;
}

/** What is wrong with it, for people. */
export const explosionText = `with this alias the file stands for more than ${mostValues.toLocaleString('en')} values: its aliases multiply`;
