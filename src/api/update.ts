// A self-update: the command does it by itself, whatever becomes of the agent.

export interface UpdateOptions {
  readonly root: string | undefined;
  /** Directory or archive of the version to put in force; undefined: back to the one before. */
  readonly source: string | undefined;
  /** Say what would be done, and change nothing. */
  readonly plan: boolean;
  /** A version older than this one may be meant. */
  readonly allowOlder: boolean;
  /** Milliseconds to wait for a running operation. */
  readonly wait: number;
  /** Stops an update that has not exchanged the program yet; afterwards it is finished or taken back. */
  readonly signal: AbortSignal;
  readonly onProgress: (text: string) => void;
}

export interface ProgramVersion {
  readonly version: string;
  /** `VERSION-FINGERPRINT`: two builds of one version differ in it. */
  readonly program: string;
}

export interface Updated {
  readonly result: 'done' | 'nothing' | 'planned';
  readonly from: ProgramVersion;
  readonly to: ProgramVersion;
  /** What answers now; null when no agent is configured. */
  readonly agent: { readonly version: string; readonly pid: number } | null;
  /** What would be done, when only that was asked. */
  readonly steps: readonly string[];
  readonly seconds: number;
}
