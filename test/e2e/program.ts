import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

const repository = join(import.meta.dirname, '../..');

/** Builds the program as it is installed. @returns the file to run */
export function buildProgram(folder: string): string {
  execFileSync(process.execPath, [join(repository, 'build.js'), '--outdir', join(folder, 'dist')], { stdio: 'pipe' });
  return join(folder, 'dist', 'appliance.js');
}

/** The stage in a process of its own, so that it can be killed. */
export async function playStage(
  root: string,
  stepTime: number,
  mood = 'well',
  logs = { pause: 200, burst: 1 },
): Promise<ChildProcess> {
  const words = [root, String(stepTime), mood, String(logs.pause), String(logs.burst)];
  const child = spawn(process.execPath, [join(import.meta.dirname, 'stage/serve.ts'), ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  return child;
}

/** Ends a process that a test has started. */
export async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill(signal);
  await gone;
}
