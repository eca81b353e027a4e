import type Docker from 'dockerode';
import { z } from 'zod';
import { ApplianceError } from '../lib/errors.ts';
import { guard, tolerate } from './docker-failures.ts';
import { readFrames } from './docker-frames.ts';

export interface RunOnce {
  readonly image: string;
  readonly argv: readonly string[];
  /** Directory on the host → where it is mounted. */
  readonly readOnly: Readonly<Record<string, string>>;
  /** Bytes. */
  readonly memory: number;
  readonly processors: number;
  /** By these the container is known, also to whoever tidies up after a crash; at least one. */
  readonly labels: Readonly<Record<string, string>>;
  /** Milliseconds. */
  readonly timeout: number;
  readonly signal: AbortSignal;
}

export interface RunOnceResult {
  readonly exitCode: number;
  readonly outOfMemory: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

const stateSchema = z.object({ State: z.object({ ExitCode: z.number(), OOMKilled: z.boolean().default(false) }) });
/** Milliseconds between two looks at whether it has ended. */
const pause = 100;
const temporary = 64 * 1024 * 1024;

/** See `Engine.runOnce`. What an earlier run of the same labels has left is removed first. */
export async function runOnce(docker: Docker, request: RunOnce): Promise<RunOnceResult> {
  const { labels, signal, timeout } = request;
  const label = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  const left = await guard('list containers', () => docker.listContainers({ all: true, filters: { label } }));
  for (const { Id } of left) await remove(docker, Id);
  const container = await guard('create', () => docker.createContainer(definition(request)));
  try {
    await guard('start', () => container.start());
    const ended = AbortSignal.any([signal, AbortSignal.timeout(timeout)]);
    for (;;) {
      const { State } = z
        .object({ State: z.object({ Running: z.boolean() }) })
        .parse(await guard('inspect', () => container.inspect()));
      if (!State.Running) break;
      if (ended.aborted) {
        signal.throwIfAborted();
        throw new ApplianceError('timeout', `a container was not done after ${timeout / 1_000} s`);
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    const { State } = stateSchema.parse(await guard('inspect', () => container.inspect()));
    const output = await guard('logs', () => container.logs({ stdout: true, stderr: true, tail: 1_000 }));
    const text = { stdout: '', stderr: '' };
    for (const frame of readFrames(output).frames) text[frame.stream] += frame.text;
    return { exitCode: State.ExitCode, outOfMemory: State.OOMKilled, ...text };
  } finally {
    await remove(docker, container.id);
  }
}

function definition({ image, argv, readOnly, memory, processors, labels }: RunOnce): Docker.ContainerCreateOptions {
  const binds = Object.entries(readOnly).map(([from, to]) => ({
    Type: 'bind' as const,
    Source: from,
    Target: to,
    ReadOnly: true,
  }));
  return {
    Image: image,
    Cmd: [...argv],
    Labels: { ...labels },
    NetworkDisabled: true,
    Healthcheck: { Test: ['NONE'] },
    HostConfig: {
      NetworkMode: 'none',
      Mounts: binds,
      ReadonlyRootfs: true,
      Tmpfs: { '/tmp': `rw,noexec,nosuid,size=${temporary}` },
      Memory: memory,
      MemorySwap: memory,
      NanoCpus: processors * 1e9,
      PidsLimit: 128,
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m' } },
    },
  };
}

async function remove(docker: Docker, id: string): Promise<void> {
  await tolerate([404, 409], () => guard('remove', () => docker.getContainer(id).remove({ force: true, v: true })));
}
