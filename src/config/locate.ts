import { type Document, isAlias, isMap, isScalar, isSeq, type LineCounter, type Node, type Pair } from 'yaml';

/** A place in a text, both counted from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/**
 * Where a value stands, or where it would stand: the deepest part of the path that is written down. Follows anchors and
 * merge keys, so a mistake in a shared part is shown where it was made.
 * @param key a key of the value at `path`: then the place of the key itself
 */
export function locate(
  document: Document.Parsed,
  lines: LineCounter,
  path: readonly PropertyKey[],
  key?: string,
): Place | null {
  let node: unknown = document.contents;
  let offset = offsetOf(node);
  for (const step of path) {
    const collection = followed(node, document);
    if (isSeq(collection) && typeof step === 'number') {
      node = collection.items[step];
      offset = offsetOf(node) ?? offset;
      continue;
    }
    const pair = pairOf(collection, String(step), document);
    if (!pair) return place(lines, offset);
    offset = offsetOf(pair.key) ?? offset;
    node = pair.value;
  }
  if (key !== undefined) offset = offsetOf(pairOf(followed(node, document), key, document)?.key) ?? offset;
  return place(lines, offset);
}

function followed(node: unknown, document: Document.Parsed): unknown {
  return isAlias(node) ? node.resolve(document) : node;
}

function pairOf(collection: unknown, key: string, document: Document.Parsed): Pair | undefined {
  if (!isMap(collection)) return undefined;
  for (const pair of collection.items) if (keyText(pair.key) === key) return pair;
  for (const pair of collection.items) {
    if (keyText(pair.key) !== '<<') continue;
    const sources = isSeq(pair.value) ? pair.value.items : [pair.value];
    for (const source of sources) {
      const found = pairOf(followed(source, document), key, document);
      if (found) return found;
    }
  }
  return undefined;
}

function keyText(key: unknown): string {
  const value: unknown = isScalar(key) ? key.value : key;
  // A merge key is read as a symbol.
  return typeof value === 'symbol' ? (value.description ?? '') : String(value);
}

function offsetOf(node: unknown): number | undefined {
  return hasRange(node) ? node.range?.[0] : undefined;
}

function hasRange(node: unknown): node is Pick<Node, 'range'> {
  return typeof node === 'object' && node !== null && 'range' in node;
}

function place(lines: LineCounter, offset: number | undefined): Place | null {
  if (offset === undefined) return null;
  const { line, col } = lines.linePos(offset);
  return { line, column: col };
}
