/** What stands on the stack of an unpickler, as far as a decision needs it. */
export type Value =
  | { readonly kind: 'data' }
  | { readonly kind: 'none' }
  | { readonly kind: 'number'; readonly value: number | undefined }
  /** `value` is undefined where the text is too long to matter, or written so that two readers may read it differently. */
  | { readonly kind: 'text'; readonly value: string | undefined }
  | { readonly kind: 'tuple'; readonly items: readonly Value[] }
  | { readonly kind: 'list' }
  | { readonly kind: 'set' }
  | Dict
  | GlobalName
  | Made;

export interface Dict {
  readonly kind: 'dict';
  /** The first entries whose keys are texts. */
  readonly entries: Map<string, Value>;
  /** A key like `__class__`, with which an attribute of the language itself would be set. */
  magic: string | undefined;
  /** More came than are kept. */
  overfull: boolean;
}

/** A name that the unpickler imports. */
export interface GlobalName {
  readonly kind: 'global';
  readonly module: string;
  readonly name: string;
}

/** What calling a name has made. */
export interface Made {
  readonly kind: 'made';
  readonly of: GlobalName;
  readonly args: readonly Value[];
  state: Value | undefined;
}

export const data: Value = { kind: 'data' };

export function textOf(value: Value | undefined): string | undefined {
  return value?.kind === 'text' ? value.value : undefined;
}

export function numberOf(value: Value | undefined): number | undefined {
  return value?.kind === 'number' ? value.value : undefined;
}

/** The input is not what may be loaded. */
export class Refused extends Error {
  override readonly name = 'Refused';
}

/** It would call something: what is read so is a pickle, whatever its name says. */
export class RefusedCall extends Refused {}
