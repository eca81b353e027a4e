import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connectSocket } from '../../src/api/socket.ts';
import { pathsFor } from '../../src/lib/paths.ts';
import { type KillOrder, killOrderFile } from '../faults/kill-order.ts';

const entry = join(import.meta.dirname, '../faults/agent.ts');

/** The agent of one appliance, which kills itself where it is told to, one life after the other. */
export class MortalAgent {
  readonly #root: string;
  #child: ChildProcess | undefined;

  /** @param root APPLIANCE_ROOT */
  constructor(root: string) {
    this.#root = root;
  }

  /** @returns when it answers */
  async start(): Promise<void> {
    this.#child = spawn(process.execPath, ['--no-warnings', entry], {
      env: { ...process.env, APPLIANCE_ROOT: this.#root },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    for (let tries = 0; tries < 3_000; tries += 1) {
      const client = await connectSocket(pathsFor(this.#root));
      if (client) return client.close();
      await delay(20);
    }
    throw new Error('the agent did not start');
  }

  /** Lets it die in the middle of some work, and starts the next one. @returns what the work has come to */
  async killedAt<T>(order: KillOrder, work: () => Promise<T>): Promise<T> {
    await writeFile(killOrderFile(this.#root), JSON.stringify([order]));
    const died = this.#child ? once(this.#child, 'exit') : Promise.resolve();
    const working = work();
    await died;
    await this.start();
    return working;
  }

  /** With SIGTERM, what it has begun ends first; else containers would appear while a test removes them. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    await gone;
  }
}
