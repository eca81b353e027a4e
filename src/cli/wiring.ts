import type { Client, Connect } from '../api/client.ts';
import type { Recovered, RecoverOptions } from '../api/recovery.ts';
import type { Updated, UpdateOptions } from '../api/update.ts';

/**
 * What the command line is given from outside. It may import the contract and the common words only; everything that
 * touches the machine comes in here, from src/main.ts.
 */
export interface Wiring {
  readonly connect: Connect;
  /** The work in this very process, whether an agent runs or not: for the day on which that one does not answer. */
  readonly connectHere: (options: { readonly root: string | undefined }) => Promise<Client>;
  /** Work on files that needs neither an agent nor an engine; loaded when a verb asks for it. */
  readonly tools: () => Promise<LocalTools>;
  /** Runs the agent until it is told to stop. @returns the exit status */
  readonly runAgent: (options: { readonly root: string | undefined }) => Promise<number>;
  /**
   * Puts the files of a snapshot onto a bare host.
   * @throws ApplianceError `usage` on a host that has an appliance already, and those of the repository
   */
  readonly recoverHost: (options: RecoverOptions) => Promise<Recovered>;
  /**
   * What install.sh has put here, and its removal.
   * @throws ApplianceError `usage` where this program was not installed
   */
  readonly uninstaller: () => Promise<Uninstaller>;
  /** Adds a line to the log of the system. @throws ApplianceError where nobody takes it */
  readonly noteInSystemLog: (text: string) => Promise<void>;
  /**
   * Puts another version of this program in force, or the one before it.
   * @throws ApplianceError when it was not, and what runs now
   */
  readonly selfUpdate: (options: UpdateOptions) => Promise<Updated>;
  /** Goes back to the program before an update whose agent does not live; for the start of an agent (packaging/trial.sh). */
  readonly takeBackUpdate: (options: { readonly root: string | undefined }) => Promise<void>;
  /** Opens the screens until they are closed. @returns the exit status */
  readonly openScreens: (options: { readonly root: string | undefined; readonly color: boolean }) => Promise<number>;
  readonly version: string;
}

export interface Uninstaller {
  readonly prefix: string;
  /** Undefined on a host-wide installation. */
  readonly root: string | undefined;
  /** Name of the appliance; undefined where nothing says one. */
  readonly name: string | undefined;
  /** Whether the caller may do so. */
  readonly permitted: boolean;
  /** @returns how the installer ended: its exit status, null after a signal; the end of its errors; directories that stay */
  run(options: {
    readonly purge: boolean;
    /** Where its steps are shown. */
    readonly progress: 'stdout' | 'stderr' | 'none';
    /** Told of what it says about a failure, as it comes. */
    readonly onError: (text: string) => void;
    readonly signal: AbortSignal;
  }): Promise<{ readonly exitCode: number | null; readonly said: string; readonly kept: readonly string[] }>;
}

export interface LocalTools {
  /**
   * Reads and checks a configuration file.
   * @param file default: the one of this appliance
   * @returns every mistake with its place; none when the file is good, and then what it may not do as it is meant
   * @throws ApplianceError `config_missing`
   */
  checkConfig(options: { readonly root: string | undefined; readonly file: string | undefined }): Promise<ConfigCheck>;
  /**
   * The effective configuration with secrets masked.
   * @throws ApplianceError `config_missing`, `config_invalid`
   */
  showConfig(options: { readonly root: string | undefined }): Promise<Readonly<Record<string, unknown>>>;
  /** The JSON Schema of appliance.yaml. */
  configSchema(): Promise<Readonly<Record<string, unknown>>>;
  /** Every policy that a deploy can name, with the mistakes of those that cannot be used. */
  listPolicies(options: { readonly root: string | undefined }): Promise<readonly PolicySummary[]>;
  /**
   * Drafts an appliance.yaml from a Compose project.
   * @param compose path of the Compose file, or of the directory that has one
   * @throws ApplianceError `compose_invalid`, `not_permitted`; `usage` for a directory without a Compose file
   */
  draftConfig(options: { readonly compose: string }): Promise<ConfigDraft>;
  /**
   * Writes a drafted file.
   * @param force replace a file that exists
   * @returns where it was written
   * @throws ApplianceError `usage` when there is one already and `force` was not given
   */
  writeConfig(options: {
    readonly root: string | undefined;
    readonly text: string;
    readonly force: boolean;
  }): Promise<string>;
}

interface ConfigCheck {
  readonly file: string;
  readonly problems: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
}

export interface ConfigProblem {
  /** Counted from 1; null when the mistake has no place of its own. */
  readonly line: number | null;
  readonly column: number | null;
  /** Where in the document: `services.backend.role`. */
  readonly path: string;
  readonly message: string;
}

/** Times are seconds. */
export interface PolicySummary {
  readonly name: string;
  readonly path: string;
  /** Whether it lies beside appliance.yaml. */
  readonly own: boolean;
  readonly title: string | null;
  readonly stages: readonly { readonly weight: number; readonly seconds: number }[];
  readonly bakeSeconds: number;
  /** Conditions that only a person can see. */
  readonly byHand: readonly { readonly id: string; readonly text: string }[];
  readonly problems: readonly ConfigProblem[];
}

interface ConfigDraft {
  /** The YAML text, commented. */
  readonly text: string;
  /** A line for each choice that was made, and why. */
  readonly notes: readonly string[];
}
