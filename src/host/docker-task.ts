import { createInterface } from 'node:readline';
import { PassThrough, Readable, type Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type Docker from 'dockerode';
import { z } from 'zod';
import { ApplianceError } from '../lib/errors.ts';
import { guard, tolerate } from './docker-failures.ts';
import { lastProcessors } from './processors.ts';

/** A directory or file of the host in a container. */
export interface TaskMount {
  readonly from: string;
  readonly to: string;
  readonly writable?: boolean;
}

export interface Task {
  /** Of the container: what `docker ps` shows to whoever wonders what works here. */
  readonly name: string;
  readonly image: string;
  readonly argv: readonly string[];
  readonly mounts: readonly TaskMount[];
  /** `none`, or the network of the host itself. */
  readonly network: 'none' | 'host';
  /** What the container takes for the name of its host. */
  readonly hostname: string;
  /** Linux capabilities that it keeps; all others are dropped. */
  readonly capabilities: readonly string[];
  /** Processors. */
  readonly cpus: number;
  /** What it gets of processors and disks that others want too: an eighth of what they get, or half where somebody waits for it. */
  readonly share: 'eighth' | 'half';
  /** Bytes. */
  readonly memory: number;
  readonly labels: Readonly<Record<string, string>>;
  /** Milliseconds. */
  readonly timeout: number;
  readonly signal: AbortSignal;
  /** Where standard output goes; otherwise each line of it is told. */
  readonly stdout?: Writable;
  readonly onLine?: (line: string) => void;
  /** What it says on standard error when it goes on without a chance; it is interrupted then. */
  readonly hopeless?: RegExp;
}

export interface TaskResult {
  readonly exitCode: number;
  readonly outOfMemory: boolean;
  /** The end of standard error. */
  readonly stderr: string;
}

/** Characters of standard error that are kept. */
const kept = 64 * 1024;
/** Bytes of the file system in memory that is its /tmp. */
const temporary = 512 * 1024 * 1024;
/** Milliseconds that output may take to arrive once the container has ended. */
const lastWords = 30_000;
/** Milliseconds to end well after an interrupt: restic removes its lock then. */
const grace = 5_000;
const stateSchema = z.object({ State: z.object({ ExitCode: z.number(), OOMKilled: z.boolean().default(false) }) });

/**
 * Runs a program in a container of its own, to its end, and removes the container. Output goes by a stream, so that it
 * may be of any length and stands in no log.
 * @throws ApplianceError `timeout`, with the end of standard error as its cause; `engine_unreachable`; the signal's reason
 */
export async function runTask(docker: Docker, task: Task): Promise<TaskResult> {
  task.signal.throwIfAborted();
  const processors = await lastProcessors(Math.ceil(task.cpus));
  const container = await guard('create', () => docker.createContainer(definition(task, processors)));
  const limit = AbortSignal.timeout(task.timeout);
  const hopeless = new AbortController();
  const ended = AbortSignal.any([task.signal, limit, hopeless.signal]);
  const interrupt = (): void => void stop(container);
  ended.addEventListener('abort', interrupt, { once: true });
  try {
    const stream = await guard('attach', () =>
      container.attach({ stream: true, stdout: true, stderr: true, hijack: true }),
    );
    const [out, err] = [new PassThrough(), new PassThrough()];
    docker.modem.demuxStream(stream, out, err);
    /** Whether all of its output has come. */
    const heard = Promise.withResolvers<boolean>();
    const close = (whole: boolean): void => {
      out.end();
      err.end();
      heard.resolve(whole);
    };
    const cut = (): void => close(false);
    stream
      .once('end', () => close(true))
      .once('close', cut)
      .once('error', cut);
    const written = task.stdout ? pipeline(out, task.stdout) : lines(out, task.onLine);
    // It is awaited below; until then a failure must not count as unhandled.
    written.catch(interrupt);
    const said = tail(err, (text) => {
      if (task.hopeless?.test(text)) hopeless.abort();
    });
    await guard('start', () => container.start());
    if (ended.aborted) interrupt();
    await guard('wait', () => ending(docker, container.id));
    // What it said last may still be under way; the engine ends the stream behind it.
    const whole = await Promise.race([heard.promise, delay(lastWords, false, { ref: false })]);
    cut();
    await written;
    const stderr = await said;
    task.signal.throwIfAborted();
    if (limit.aborted)
      throw new ApplianceError('timeout', `${task.argv[0] ?? 'it'} was not done after ${task.timeout / 1_000} s`, {
        cause: stderr,
      });
    if (!whole)
      throw new ApplianceError(
        'engine_unreachable',
        `the Docker Engine has not passed on all that ${task.argv[0] ?? 'it'} printed`,
        { hint: 'run the command again', cause: stderr },
      );
    const { State } = stateSchema.parse(await guard('inspect', () => container.inspect()));
    return { exitCode: State.ExitCode, outOfMemory: State.OOMKilled, stderr };
  } finally {
    ended.removeEventListener('abort', interrupt);
    await tolerate([404, 409], () => guard('remove', () => container.remove({ force: true, v: true })));
  }
}

/** The engine gives everything else 1024 and 500. */
const weights = { eighth: { CpuShares: 128, BlkioWeight: 50 }, half: { CpuShares: 512, BlkioWeight: 250 } } as const;

/** @param processors the only ones that it may use; undefined: all */
function definition(task: Task, processors: string | undefined): Docker.ContainerCreateOptions {
  return {
    name: task.name,
    Image: task.image,
    Cmd: [...task.argv],
    Labels: { ...task.labels },
    Hostname: task.hostname,
    // restic leaves copies of broken packs where it works.
    WorkingDir: '/tmp',
    AttachStdout: true,
    AttachStderr: true,
    Healthcheck: { Test: ['NONE'] },
    HostConfig: {
      NetworkMode: task.network,
      Mounts: task.mounts.map(({ from, to, writable }) => ({
        Type: 'bind' as const,
        Source: from,
        Target: to,
        ReadOnly: !writable,
      })),
      ReadonlyRootfs: true,
      Tmpfs: { '/tmp': `rw,noexec,nosuid,size=${temporary}` },
      Memory: task.memory,
      MemorySwap: task.memory,
      // A share of every processor's time disturbs those who serve more than all the time of a few.
      ...(processors === undefined ? {} : { CpusetCpus: processors }),
      ...(processors !== undefined && Number.isInteger(task.cpus) ? {} : { NanoCpus: Math.round(task.cpus * 1e9) }),
      ...weights[task.share],
      PidsLimit: 512,
      CapDrop: ['ALL'],
      CapAdd: [...task.capabilities],
      SecurityOpt: ['no-new-privileges'],
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'none', Config: {} },
    },
  };
}

/** Interrupts it, and ends it when it does not end by itself. */
async function stop(container: Docker.Container): Promise<void> {
  await container.kill({ signal: 'SIGINT' }).catch(() => undefined);
  setTimeout(() => {
    container.kill({ signal: 'SIGKILL' }).catch(() => undefined);
  }, grace).unref();
}

/**
 * Resolves when a container has ended. The engine begins its answer at once and completes it at the end; an answer that is
 * cut short is a failure. dockerode's own `wait` hears of no such thing and would wait for ever.
 */
async function ending(docker: Docker, id: string): Promise<void> {
  const request = {
    path: `/containers/${id}/wait`,
    method: 'POST',
    isStream: true,
    statusCodes: { 200: true, 404: 'no such container', 500: 'server error' },
  };
  const answer = await new Promise<Readable>((resolve, reject) => {
    docker.modem.dial(request, (error, data) => (data instanceof Readable ? resolve(data) : reject(error)));
  });
  await text(answer);
}

async function lines(stream: PassThrough, onLine: Task['onLine']): Promise<void> {
  for await (const line of createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY })) onLine?.(line);
}

/** @param onText told of all that is kept, each time that more has come */
async function tail(stream: PassThrough, onText: (text: string) => void): Promise<string> {
  let end = '';
  stream.setEncoding('utf8');
  for await (const chunk of stream) {
    end = `${end}${String(chunk)}`.slice(-kept);
    onText(end);
  }
  return end;
}
