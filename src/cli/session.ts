import type { Client } from '../api/client.ts';
import { ApplianceError } from '../lib/errors.ts';
import { formatDuration } from '../lib/units.ts';
import type { Globals } from './catalog.ts';
import { type Look, lookOf, speak } from './output/look.ts';
import type { Wiring } from './wiring.ts';

/** A stream that the command line writes to. */
export interface Sink {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** What the process offers; given in, so that a test can be a process of its own. */
export interface World {
  readonly stdout: Sink;
  readonly stderr: Sink;
  readonly stdin: NodeJS.ReadableStream & { readonly isTTY?: boolean };
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Tells of SIGINT and SIGTERM. @returns takes the listener away again */
  onInterrupt(listener: () => void): () => void;
  /** Tells when nobody reads stdout any more. @returns takes the listener away again */
  onClosedOutput(listener: () => void): () => void;
  /** Ends the process at once, whatever is still open. */
  exit(code: number): never;
}

/** One run of one verb: what it may print, whom it may ask, when it must stop. */
export class Session {
  readonly globals: Globals;
  readonly wiring: Wiring;
  readonly world: World;
  /** What stdout shows. */
  readonly out: Look;
  /** What stderr shows. */
  readonly err: Look;
  readonly #stop = new AbortController();
  #client: Promise<Client> | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #unlisten: () => void;
  #unwatch: () => void;
  #leaveOpen = false;

  constructor(globals: Globals, wiring: Wiring, world: World) {
    this.globals = globals;
    this.wiring = wiring;
    this.world = world;
    this.out = lookOf(world.stdout, world.env, globals.color);
    this.err = lookOf(world.stderr, world.env, globals.color);
    this.#unlisten = world.onInterrupt(() => this.#stop.abort(new ApplianceError('interrupted', 'interrupted')));
    this.#unwatch = world.onClosedOutput(() => world.exit(0));
    if (globals.timeout !== undefined) this.#deadline = setTimeout(() => this.#giveUp(), globals.timeout);
  }

  /** Aborts when the caller presses Ctrl-C or the time of `--timeout` is up; its reason is an ApplianceError. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** Takes over Ctrl-C from the session, for verbs whose work goes on elsewhere. */
  handleInterrupt(listener: () => void): void {
    this.#unlisten();
    this.#unlisten = this.world.onInterrupt(listener);
  }

  /** Goes on when nobody reads the output: an operation must not end because of a closed pipe or a lost connection. */
  keepGoingWithoutOutput(): void {
    this.#unwatch();
    this.#unwatch = this.world.onClosedOutput(() => undefined);
  }

  /** The agent, or the same code in this process. Connected once, when first asked for. */
  client(): Promise<Client> {
    this.#client ??= this.wiring.connect({ root: this.globals.root, allowInProcess: true });
    return this.#client;
  }

  /** An agent that is running. @returns undefined when none is */
  async agent(): Promise<Client | undefined> {
    if (this.#client) return this.#client;
    try {
      this.#client = Promise.resolve(await this.wiring.connect({ root: this.globals.root, allowInProcess: false }));
      return this.#client;
    } catch (error) {
      if (error instanceof ApplianceError && error.code === 'agent_unreachable') return undefined;
      throw error;
    }
  }

  /** The answer of a verb: one document with `--json`, else lines for people. */
  answer(document: unknown, lines: () => readonly string[]): void {
    if (this.globals.json) this.document(document);
    else this.print(...lines());
  }

  /** One JSON document on a line of its own. */
  document(value: unknown): void {
    this.world.stdout.write(`${JSON.stringify(value)}\n`);
  }

  /** Lines of the answer, on stdout. */
  print(...lines: readonly string[]): void {
    if (lines.length > 0) this.world.stdout.write(`${lines.join('\n')}\n`);
  }

  /** Something said on the way, on stderr. */
  note(...lines: readonly string[]): void {
    if (!this.globals.quiet && lines.length > 0) this.world.stderr.write(`${speak(this.err, lines.join('\n'))}\n`);
  }

  /** Ends without waiting for the client, for example while it still waits for its turn. */
  leaveClientOpen(): void {
    this.#leaveOpen = true;
  }

  async end(): Promise<void> {
    clearTimeout(this.#deadline);
    this.#unlisten();
    this.#unwatch();
    if (this.#leaveOpen) return;
    const client = await this.#client?.catch(() => undefined);
    await client?.close();
  }

  #giveUp(): void {
    const waited = formatDuration(this.globals.timeout ?? 0);
    this.#stop.abort(
      new ApplianceError('timeout', `gave up after ${waited}, as --timeout asks`, { hint: 'appliance status' }),
    );
  }
}
