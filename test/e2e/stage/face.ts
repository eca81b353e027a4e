import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import type { Client } from '../../../src/api/client.ts';
import { connectSocket } from '../../../src/api/socket.ts';
import { runCli } from '../../../src/cli/run.ts';
import type { World } from '../../../src/cli/session.ts';
import type { LocalTools, Wiring } from '../../../src/cli/wiring.ts';
import { ApplianceError } from '../../../src/lib/errors.ts';
import { pathsFor } from '../../../src/lib/paths.ts';

/** A folder for one test, short enough for the path of a socket. */
export function temporaryRoot(): { readonly root: string; remove(): void } {
  const root = mkdtempSync(join(tmpdir(), 'face-'));
  return { root, remove: () => rmSync(root, { recursive: true, force: true }) };
}

/** What a run of the command line left behind. */
interface Outcome {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Run {
  readonly ended: Promise<Outcome>;
  /** What was written so far. */
  readonly written: { stdout: string; stderr: string };
  /** Presses Ctrl-C. */
  interrupt(): void;
  /** Closes the other end of stdout. */
  closeOutput(): void;
  /** Resolves when stderr or stdout says something. */
  says(pattern: RegExp): Promise<void>;
}

interface Surroundings {
  readonly terminal?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly tools?: Partial<LocalTools>;
  /** What every attempt to reach an agent ends with. */
  readonly refused?: ApplianceError;
  /** Stands in for an agent that is hosted by this process. */
  readonly inProcess?: Client;
}

/** Runs the command line inside this process, with streams that are recorded. Signals and terminals are real enough. */
export function face(root: string, argv: readonly string[], around: Surroundings = {}): Run {
  const written = { stdout: '', stderr: '' };
  const interrupts = new Set<() => void>();
  const closings = new Set<() => void>();
  const waiting = new Set<() => void>();
  const sink = (name: 'stdout' | 'stderr') => ({
    isTTY: around.terminal !== undefined,
    columns: around.terminal ?? 80,
    write: (text: string) => {
      written[name] += text;
      for (const check of waiting) check();
      return true;
    },
  });
  const world: World = {
    stdout: sink('stdout'),
    stderr: sink('stderr'),
    stdin: Object.assign(new PassThrough(), { isTTY: false }),
    env: { APPLIANCE_ROOT: root, LANG: 'C.UTF-8', TERM: 'xterm', ...around.env },
    onInterrupt: (listener) => {
      interrupts.add(listener);
      return () => interrupts.delete(listener);
    },
    onClosedOutput: (listener) => {
      closings.add(listener);
      return () => closings.delete(listener);
    },
    exit: (code) => {
      throw new ExitNow(code);
    },
  };
  const ended = runCli(argv, wiringOf(around), world).then((exit) => ({ exit, ...written }));
  return {
    ended,
    written,
    interrupt: () => {
      for (const listener of [...interrupts]) listener();
    },
    closeOutput: () => {
      for (const listener of [...closings]) listener();
    },
    says: (pattern) =>
      new Promise((resolve) => {
        const check = () => {
          if (!pattern.test(written.stdout) && !pattern.test(written.stderr)) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      }),
  };
}

/** The process would have ended here. */
export class ExitNow extends Error {
  readonly code: number;
  constructor(code: number) {
    super(`exit ${code}`);
    this.code = code;
  }
}

function wiringOf({ tools, inProcess, refused }: Surroundings): Wiring {
  const missing = () => {
    throw new Error('not part of this test');
  };
  return {
    version: '0.0.1',
    connect: async ({ root, allowInProcess }) => {
      if (refused) throw refused;
      const client = await connectSocket(pathsFor(root));
      if (client) return client;
      if (allowInProcess && inProcess) return inProcess;
      throw new ApplianceError('agent_unreachable', 'no agent is running');
    },
    connectHere: async () => inProcess ?? missing(),
    tools: async () => ({
      checkConfig: missing,
      showConfig: missing,
      configSchema: missing,
      listPolicies: missing,
      draftConfig: missing,
      writeConfig: missing,
      ...tools,
    }),
    runAgent: missing,
    selfUpdate: missing,
    takeBackUpdate: missing,
    recoverHost: async () => ({ name: 'demo', id: 'snapshot', notes: [] }),
    uninstaller: missing,
    noteInSystemLog: missing,
    openScreens: missing,
  };
}
