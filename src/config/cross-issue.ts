/** A mistake that needs more than one value to be seen. */
export interface CrossIssue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}
