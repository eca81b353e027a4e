import type { ProbeConfig } from '../../../config/schema.ts';
import type { ContainerDetail } from '../../../host/docker.ts';
import { messageOf } from '../../../lib/errors.ts';
import { type Service, unescapeDollar } from '../model.ts';
import type { StackEngine } from './deps.ts';
import { askProbe } from './probe.ts';

/** A container that must become healthy. */
export interface Watched {
  /** Name in the colour's model: `backend-2`. */
  readonly name: string;
  readonly role: 'app' | 'job';
  readonly address: string | undefined;
  readonly probe: ProbeConfig | null;
  /** The Compose file's own healthcheck, as an argument array. */
  readonly check: readonly string[] | undefined;
  /** Restarts that it had when we began to watch. */
  readonly restartsBefore: number;
}

export type Health =
  | { readonly state: 'healthy'; readonly said: string }
  | { readonly state: 'waiting'; readonly said: string }
  /** Waiting longer cannot help. */
  | { readonly state: 'failed'; readonly said: string };

/** A crash loop is called one after this many restarts while it is watched. */
const restartLimit = 3;
/** Milliseconds for one probe or one healthcheck of ours. */
const askTimeout = 5_000;

/** What the state of a container alone says; undefined when it must be asked. Pure. */
export function judgeState(
  watched: Pick<Watched, 'role' | 'restartsBefore'>,
  detail: ContainerDetail,
): Health | undefined {
  const restarts = detail.restarts - watched.restartsBefore;
  if (watched.role === 'job') {
    if (detail.state === 'exited' && detail.exitCode === 0) return { state: 'healthy', said: 'ended with 0' };
    if (detail.state === 'running') return { state: 'healthy', said: 'at work' };
  }
  if (detail.outOfMemory) return { state: 'failed', said: 'it was killed for want of memory' };
  if (restarts >= restartLimit) return { state: 'failed', said: `it has restarted ${restarts} times` };
  if (detail.state === 'exited' || detail.state === 'dead')
    return { state: 'failed', said: `it has ended with exit status ${detail.exitCode}` };
  if (!detail.running || detail.state === 'restarting') return { state: 'waiting', said: `it is ${detail.state}` };
  if (detail.health === 'unhealthy') return { state: 'waiting', said: 'its healthcheck says unhealthy' };
  return undefined;
}

/**
 * Asks a container whether it is healthy: its state, then its probe, then its own healthcheck. While the engine still
 * waits for the first interval to pass, the healthcheck is run by us (engines before 25 have no start_interval).
 */
export async function askHealth(
  engine: StackEngine,
  watched: Watched,
  detail: ContainerDetail,
  tag: string,
  signal: AbortSignal,
): Promise<Health> {
  const judged = judgeState(watched, detail);
  if (judged) return judged;
  const { address, probe, check } = watched;
  let said = 'it runs';
  if (probe && address !== undefined) {
    const answer = await askProbe({ address, probe, tag }, askTimeout, signal);
    if (!answer.ok) return { state: 'waiting', said: answer.said };
    said = answer.said;
  }
  if (detail.health !== 'starting') return { state: 'healthy', said };
  if (check === undefined) return { state: 'waiting', said: 'the healthcheck of its image has not answered yet' };
  return runCheck(engine, detail.id, check, said, signal);
}

async function runCheck(
  engine: StackEngine,
  id: string,
  check: readonly string[],
  saidBefore: string,
  signal: AbortSignal,
): Promise<Health> {
  try {
    const { exitCode, stdout, stderr } = await engine.exec(id, check, { signal, timeout: askTimeout });
    if (exitCode === 0) return { state: 'healthy', said: `${saidBefore}, healthcheck passes` };
    const output = `${stdout}\n${stderr}`.trim().split('\n').at(-1) ?? '';
    return { state: 'waiting', said: `healthcheck ends with ${exitCode}: ${output}`.slice(0, 300) };
  } catch (error) {
    signal.throwIfAborted();
    return { state: 'waiting', said: `healthcheck: ${messageOf(error)}` };
  }
}

/** The argument array of a service's healthcheck (compose-spec: CMD, CMD-SHELL or a text for the shell). */
export function healthcheckArguments(service: Pick<Service, 'healthcheck'>): string[] | undefined {
  const check = service.healthcheck;
  if (!check || check.disable || check.test === undefined || check.test === null) return undefined;
  const test = (typeof check.test === 'string' ? ['CMD-SHELL', check.test] : check.test).map(unescapeDollar);
  const [kind, ...rest] = test;
  if (kind === 'CMD') return rest;
  return kind === 'CMD-SHELL' ? ['/bin/sh', '-c', rest.join(' ')] : undefined;
}
