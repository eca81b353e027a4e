import type { Cursor } from './bytes.ts';
import { type Made, numberOf, Refused, textOf, type Value } from './values.ts';

/** Bytes of one character of a dtype `U`. */
const unicodeBytes = 4;

/**
 * What numpy makes of a dtype.
 * @returns bytes of one item, and whether items are Python objects, which are pickled
 * @throws Refused for a dtype whose size this program cannot tell: what follows it could not be found
 */
function itemOf(dtype: Value | undefined): { readonly bytes: number; readonly objects: boolean } {
  if (dtype?.kind !== 'made' || dtype.of.name !== 'dtype' || dtype.of.module !== 'numpy')
    throw new Refused('an array has a dtype that is none of numpy');
  const text = textOf(dtype.args[0]);
  const state = dtype.state?.kind === 'tuple' ? dtype.state.items : [];
  // (version, byte order, subarray, names, fields, item size, alignment, flags …)
  const [, , subarray, , fields] = state;
  const plain = (part: Value | undefined): boolean => part === undefined || part.kind === 'none';
  const size = sizeOf(text);
  // numpy believes the state where the two disagree, and would then look for what follows somewhere else, or unpickle it.
  if (state.length > 0) {
    const [version, bytes, flags] = [numberOf(state[0]), numberOf(state[5]), numberOf(state[7])];
    const agrees =
      bytes === (size.flexible ? size.bytes : -1) && flags !== undefined && flags % 2 === (size.objects ? 1 : 0);
    if ((version !== 3 && version !== 4) || !agrees)
      throw new Refused(`an array has the dtype ${text} with a state that contradicts it`);
  }
  if (!plain(subarray) || !plain(fields)) checkRecords(text, fields, subarray);
  return size;
}

function sizeOf(text: string | undefined): { bytes: number; objects: boolean; flexible: boolean } {
  const [, letter = '', digits] = /^[<>|=]?([biufcmMOSUV])(\d{1,9})$/.exec(text ?? '') ?? [];
  if (digits === undefined) throw new Refused(`an array has the dtype ${JSON.stringify(text ?? null)}`);
  const bytes = Number(digits) * (letter === 'U' ? unicodeBytes : 1);
  return { bytes, objects: letter === 'O', flexible: 'SUV'.includes(letter) };
}

/** Looks for Python objects in each field of a record. */
function checkRecords(text: string | undefined, fields: Value | undefined, subarray: Value | undefined): void {
  if (!text?.includes('V') || (subarray !== undefined && subarray.kind !== 'none') || fields?.kind !== 'dict')
    throw new Refused('an array has records of a form that is not known');
  if (fields.overfull) throw new Refused('an array has more fields than can be looked at');
  for (const field of fields.entries.values()) {
    const inner = field.kind === 'tuple' ? field.items[0] : undefined;
    if (itemOf(inner).objects) throw new Refused('an array has records that hold Python objects');
  }
}

/** Items of an array. @throws Refused when the shape is not written as whole numbers */
function countOf(shape: Value | undefined): number {
  if (shape?.kind !== 'tuple') throw new Refused('an array has no shape');
  let count = 1;
  for (const part of shape.items) {
    const length = numberOf(part);
    if (length === undefined || !Number.isSafeInteger(length) || length < 0)
      throw new Refused('an array has a shape that is not written as whole numbers');
    count *= length;
  }
  return count;
}

/**
 * Goes past what joblib has written behind a NumpyArrayWrapper: padding and raw bytes.
 * @returns whether the items are pickled instead, and stand next
 * @throws Refused, Truncated
 */
export function passArray(wrapper: Made, cursor: Cursor): 'passed' | 'pickled' {
  const state = wrapper.state?.kind === 'dict' ? wrapper.state.entries : undefined;
  if (!state || wrapper.args.length > 0) throw new Refused('an array of joblib has no plain state');
  const { bytes, objects } = itemOf(state.get('dtype'));
  const count = countOf(state.get('shape'));
  if (objects) return 'pickled';
  const alignment = state.get('numpy_array_alignment_bytes');
  if (alignment !== undefined && alignment.kind !== 'none') cursor.skip(cursor.byte());
  cursor.skip(count * bytes);
  return 'passed';
}
