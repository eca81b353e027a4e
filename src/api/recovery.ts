// The recovery of a bare host: the command does it by itself, for there is no agent yet.

export interface RecoverOptions {
  readonly root: string | undefined;
  /** Directory of this host, or a target of restic. */
  readonly repository: string;
  /** File with the recovery key. */
  readonly keyFile: string;
  /** `latest`, an id or the beginning of one. */
  readonly snapshot: string;
  /** Name of the appliance, where the repository holds several. */
  readonly name: string | undefined;
  readonly signal: AbortSignal;
  readonly onProgress: (text: string) => void;
}

export interface Recovered {
  /** Of the appliance. */
  readonly name: string;
  /** Of the snapshot. */
  readonly id: string;
  /** What the admin must know of this host. */
  readonly notes: readonly string[];
}
