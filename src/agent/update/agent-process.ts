import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '../../api/client.ts';
import { connectSocket } from '../../api/socket.ts';
import type { InstalledProgram } from '../../host/installation.ts';
import { run } from '../../host/process.ts';
import type { Clock } from '../../lib/clock.ts';
import { ApplianceError } from '../../lib/errors.ts';
import type { Paths } from '../../lib/paths.ts';
import { takeWriterLock } from '../in-process.ts';
import { linked, programOf } from './program.ts';

/** An agent that has answered. */
export interface Answer {
  readonly version: string;
  readonly pid: number;
  /** What it has loaded: `programs/VERSION-FINGERPRINT`. */
  readonly program: string | undefined;
}

/** The agent of an appliance, as its installation starts it. */
export interface AgentProcess {
  readonly installation: InstalledProgram;
  readonly paths: Paths;
  readonly clock: Clock;
}

/** Milliseconds between two questions. */
const period = 300;
/** Milliseconds for which a new agent must go on answering: one that dies of its first work does not count. */
const steady = 3_000;
/** Milliseconds for a restart: an operation is taken back, the old one ends, the new one opens its state. */
const restartTimeout = 180_000;

async function withAgent<T>(paths: Paths, use: (client: Client) => Promise<T>): Promise<T | undefined> {
  const client = await connectSocket(paths);
  if (!client) return undefined;
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

/** What the agent says of itself. @returns undefined when none answers */
export async function answering({ paths, installation: { prefix } }: AgentProcess): Promise<Answer | undefined> {
  try {
    const said = await withAgent(paths, (client) => client.ask('ping', {}, AbortSignal.timeout(5_000)));
    return said && { version: said.version, pid: said.pid, program: programOf(said.pid, prefix) };
  } catch {
    return undefined;
  }
}

/**
 * Waits for an agent of a program that answers, and goes on to.
 * @param within milliseconds
 * @returns undefined when there was none
 */
export async function proven(agent: AgentProcess, program: string, within: number): Promise<Answer | undefined> {
  const { clock } = agent;
  const until = clock.monotonic() + within;
  let first: (Answer & { readonly at: number }) | undefined;
  // The start of an agent may have gone back already (packaging/trial.sh).
  while (clock.monotonic() < until && linked(agent.installation.prefix, 'program') === program) {
    const answer = await answering(agent);
    if (answer?.program !== program) first = undefined;
    else if (first?.pid !== answer.pid) first = { ...answer, at: clock.monotonic() };
    else if (clock.monotonic() - first.at >= steady) return answer;
    await clock.sleep(period);
  }
  return undefined;
}

/** Restarts the agent, or starts it, by the scripts of a program. Whether that helped is for `proven` to say. */
export async function restart(agent: AgentProcess, program: string): Promise<void> {
  await service(agent, program, 'restart');
}

/** Stops it. */
export async function stop(agent: AgentProcess, program: string): Promise<void> {
  await service(agent, program, 'stop');
}

async function service({ installation: { prefix }, paths }: AgentProcess, program: string, verb: string) {
  const script = join(prefix, program, 'packaging', 'service.sh');
  const root = paths.root === undefined ? [] : ['--root', paths.root];
  // In a session of its own: what interrupts this process does not interrupt that.
  await run('setsid', [script, verb, '--prefix', prefix, ...root], { timeout: restartTimeout, env: environment() });
}

/** Everything that this process was given, for scripts that an admin would have run with the same. */
export function environment(): Record<string, string> {
  const { APPLIANCE_ROOT: _, ...rest } = process.env;
  return Object.fromEntries(
    Object.entries(rest).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

/**
 * Makes sure that no operation runs and no rollout is open.
 * @param wait milliseconds
 * @throws ApplianceError `busy`
 */
export async function assertIdle({ paths, clock }: AgentProcess, wait: number, signal: AbortSignal): Promise<void> {
  const until = clock.monotonic() + wait;
  while (true) {
    const status = await withAgent(paths, (client) => client.ask('status', {}, signal));
    if (!status) {
      if (existsSync(paths.state))
        (await takeWriterLock(paths, 'appliance self-update', Math.max(0, until - clock.monotonic()))).release();
      return;
    }
    const { operation, rollout } = status;
    if (!operation && !rollout) return;
    if (clock.monotonic() >= until) throw busy(operation, rollout ?? null);
    await clock.sleep(1_000, signal);
  }
}

interface Running {
  readonly kind: string;
  readonly actor: { readonly user: string };
  readonly startedAt: string;
}

function busy(operation: Running | null, rollout: { readonly to: string } | null): ApplianceError {
  const what = rollout
    ? `the rollout of ${rollout.to} is open`
    : `${operation?.kind} by ${operation?.actor.user} runs since ${operation?.startedAt}`;
  return new ApplianceError('busy', what, {
    left: 'it goes on; nothing was touched',
    hint: rollout
      ? 'let it end (appliance promote), or take it back (appliance abort), then say it again'
      : 'wait for it with --wait 5m',
  });
}

/** Lines that agents have left in their logs from now on. @returns asks for the last of them */
export function watchLogs(paths: Paths): () => readonly string[] {
  const files = ['agent.out', 'agent.log'].map((name) => join(paths.log, name));
  const size = (file: string): number => (existsSync(file) ? statSync(file).size : 0);
  const before = new Map(files.map((file) => [file, size(file)]));
  return () =>
    files.flatMap((file) => {
      if (!existsSync(file)) return [];
      const from = before.get(file) ?? 0;
      const text = readFileSync(file)
        .subarray(size(file) < from ? 0 : from)
        .toString('utf8');
      const told = text
        .split('\n')
        .filter((line) => line.trim() !== '' && !/supervise: |"level":(30|"info")/.test(line));
      return told.slice(-4).map((line) => line.slice(0, 300));
    });
}
