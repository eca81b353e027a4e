/**
 * Which part of a list is visible when one of its rows must be. It moves by half a screen at a time and stands still in
 * between: a step of the mark then changes two lines, where a list that moves with the mark changes all of them, which
 * is eight kilobytes for a slow line.
 * @param size rows of the list
 * @param room rows of the screen
 * @param focus row that must be visible
 * @returns first visible row, and how many are hidden above and below
 */
export function windowAround(
  size: number,
  room: number,
  focus: number,
): { readonly first: number; readonly above: number; readonly below: number } {
  if (size <= room || room <= 0) return { first: 0, above: 0, below: Math.max(0, size - Math.max(0, room)) };
  const step = Math.max(1, Math.floor(room / 2));
  const wished = Math.min(Math.max(focus, 0), size - 1) - Math.floor(room / 2);
  const first = Math.min(Math.max(Math.round(wished / step) * step, 0), size - room);
  return { first, above: first, below: size - room - first };
}

/** Index of the last entry whose number is at most `seq`; -1 when there is none. The list is sorted by number. */
export function lastUpTo(entries: readonly { readonly seq: number }[], seq: number): number {
  let low = 0;
  let high = entries.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((entries[middle]?.seq ?? Number.POSITIVE_INFINITY) <= seq) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
