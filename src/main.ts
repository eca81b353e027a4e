import { constants } from 'node:os';
import type { Client } from './api/client.ts';
import { runCli } from './cli/run.ts';
import type { World } from './cli/session.ts';
import type { Wiring } from './cli/wiring.ts';
import { ApplianceError } from './lib/errors.ts';
import { pathsFor } from './lib/paths.ts';

// The entry of the program. It stands outside of the layers and joins them; everything heavy is loaded when it is used.

// Containers run as other users: what they mount must be readable, whoever called us with whatever mask. What is secret
// says so itself (mode 0600).
process.umask(0o022);

const version = process.env.APPLIANCE_VERSION ?? 'from source';

async function connect(options: { root: string | undefined; allowInProcess: boolean }): Promise<Client> {
  const { connectSocket } = await import('./api/socket.ts');
  const client = await connectSocket(pathsFor(options.root));
  if (client) return client;
  if (options.allowInProcess) return (await import('./agent/in-process.ts')).connectInProcess({ root: options.root });
  throw new ApplianceError('agent_unreachable', 'no agent is running', {
    hint: 'start it: /opt/appliance/bin/appliance-start; or run it here: appliance agent --foreground',
  });
}

const wiring: Wiring = {
  version,
  connect,
  connectHere: async (options) => (await import('./agent/in-process.ts')).connectInProcess(options),
  tools: async () => (await import('./config/tools.ts')).localTools,
  runAgent: async ({ root }) => {
    (await import('./agent/memory.ts')).preferSmall();
    return (await import('./agent/main.ts')).runAgent({ root });
  },
  recoverHost: async (options) => (await import('./agent/recover-host.ts')).recoverHost(options),
  uninstaller: async () => {
    const [{ findInstallation }, { uninstallAlone }] = await Promise.all([
      import('./host/installation.ts'),
      import('./agent/uninstall.ts'),
    ]);
    const found = findInstallation(process.argv[1] ?? '');
    return {
      ...found,
      permitted: process.getuid?.() === 0,
      run: ({ progress, ...options }) =>
        uninstallAlone(found, { ...options, progress: { stdout: 1, stderr: 2, none: 'ignore' as const }[progress] }),
    };
  },
  noteInSystemLog: async (text) => (await import('./host/system-log.ts')).noteInSystemLog(text),
  selfUpdate: async (options) => (await import('./agent/update/index.ts')).selfUpdate(options),
  takeBackUpdate: async (options) => (await import('./agent/update/trial.ts')).takeBack(options),
  openScreens: async ({ root, color }) => {
    const [{ openScreens }, { paletteVerbs }] = await Promise.all([
      import('./tui/open.tsx'),
      import('./cli/palette-verbs.ts'),
    ]);
    return openScreens({
      connect: () => connect({ root, allowInProcess: false }),
      color,
      verbs: paletteVerbs(),
      runVerb: (words) => runSelf([...(root === undefined ? [] : ['--root', root]), ...words]),
    });
  },
};

/** Runs this program with other words on the terminal that this process has. @returns its exit status */
async function runSelf(words: readonly string[]): Promise<number> {
  const { spawn } = await import('node:child_process');
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? '', ...words], { stdio: 'inherit' });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

let outputClosed = false;
const whenOutputCloses = new Set<() => void>();
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    // Nobody reads any more (`| head`), or the terminal is gone: that is no failure of ours.
    if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
    if (outputClosed) return;
    outputClosed = true;
    for (const listener of whenOutputCloses) listener();
  });
}
// A lost connection must not end an operation that this process hosts. What has nothing to finish ends with its output.
process.on('SIGHUP', () => {
  for (const listener of whenOutputCloses) listener();
});

const world: World = {
  stdout: process.stdout,
  stderr: process.stderr,
  // Opening it costs a tenth of the time that most commands take, and they do not read it.
  get stdin() {
    return process.stdin;
  },
  env: process.env,
  onInterrupt: (listener) => {
    process.on('SIGINT', listener).on('SIGTERM', listener);
    return () => process.off('SIGINT', listener).off('SIGTERM', listener);
  },
  onClosedOutput: (listener) => {
    whenOutputCloses.add(listener);
    return () => whenOutputCloses.delete(listener);
  },
  exit: (code) => process.exit(code),
};

async function main(argv: readonly string[]): Promise<number> {
  if (argv.length === 0 && process.stdin.isTTY && process.stdout.isTTY) {
    return wiring.openScreens({ root: process.env.APPLIANCE_ROOT || undefined, color: !process.env.NO_COLOR });
  }
  return runCli(argv, wiring, world);
}

// Whatever a library may have left open does not keep the command from ending.
process.exit(await main(process.argv.slice(2)));
