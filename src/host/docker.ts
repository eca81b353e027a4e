import { createWriteStream } from 'node:fs';
import { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { StringDecoder } from 'node:string_decoder';
import Docker from 'dockerode';
import { z } from 'zod';
import { WholeAnswers } from './docker-answers.ts';
import { type ExecStream, type ExecStreamResult, execFed, execStream, Head, runsInside } from './docker-exec.ts';
import { guard, orAbsent, tolerate } from './docker-failures.ts';
import { type ExecFile, execFrom, execInto } from './docker-files.ts';
import { readFrames } from './docker-frames.ts';
import { loadImages, platformOf } from './docker-images.ts';
import { type RunOnce, type RunOnceResult, runOnce } from './docker-run.ts';
import {
  type ContainerDetail,
  type ContainerRights,
  type ContainerSummary,
  containerSchema,
  type EngineEvent,
  type ExecResult,
  eventSchema,
  type ImageDetail,
  imageSchema,
  inspectSchema,
  type LogChunk,
  type NetworkSummary,
  networkSchema,
  rightsSchema,
} from './docker-shapes.ts';
import { runTask, type Task, type TaskResult } from './docker-task.ts';
import { startThrowaway, startTwin, type Throwaway, type ThrowawayLimits } from './docker-throwaway.ts';

export type { ContainerDetail, ContainerSummary, EngineEvent, ExecResult, ImageDetail, LogChunk, NetworkSummary };

/** Output of an exec that is kept, in bytes; the rest is dropped. */
const maxExecOutput = 4 * 1024 * 1024;

/** Names of the host, its labels and its proxies are nobody's business. */
const aboutSchema = z.object({
  ServerVersion: z.unknown(),
  ApiVersion: z.unknown(),
  OperatingSystem: z.unknown(),
  KernelVersion: z.unknown(),
  Architecture: z.unknown(),
  NCPU: z.unknown(),
  MemTotal: z.unknown(),
  Driver: z.unknown(),
  DockerRootDir: z.unknown(),
  LoggingDriver: z.unknown(),
  CgroupDriver: z.unknown(),
  CgroupVersion: z.unknown(),
  Containers: z.unknown(),
  ContainersRunning: z.unknown(),
  ContainersPaused: z.unknown(),
  ContainersStopped: z.unknown(),
  Images: z.unknown(),
  LiveRestoreEnabled: z.unknown(),
  SecurityOptions: z.unknown(),
  Runtimes: z.unknown(),
  Warnings: z.unknown(),
  SystemTime: z.unknown(),
});

const environmentSchema = z.object({ Config: z.object({ Env: z.array(z.string()).nullish() }) });

/**
 * Events after which a container is not what it was before. Without this choice the engine also tells of every single
 * run of every healthcheck, three events of 1.5 KB each. `health_status` stands for all of its values (moby/moby#25798).
 */
const stateEvents = [
  ...['create', 'destroy', 'die', 'health_status', 'kill', 'oom', 'pause', 'rename', 'restart', 'start', 'stop'],
  ...['unpause', 'update'],
] as const;

/** Hands on the Docker Engine. Answers are parsed; an engine that does not answer is `engine_unreachable` (exit 8). */
export class Engine {
  readonly #docker: Docker;

  /** @param socketPath the engine's socket; default: what DOCKER_HOST says, else /var/run/docker.sock */
  constructor(socketPath?: string) {
    this.#docker = socketPath ? new Docker({ socketPath }) : new Docker();
    Object.assign(this.#docker.modem, { agent: new WholeAnswers() });
  }

  /** @throws ApplianceError `engine_unreachable` */
  async ping(timeoutMs = 5_000): Promise<void> {
    const late = new Promise<never>((_, reject) => {
      setTimeout(
        () => reject(Object.assign(new Error(`no answer in ${timeoutMs / 1_000} s`), { name: 'TimeoutError' })),
        timeoutMs,
      ).unref();
    });
    await guard('ping', () => Promise.race([this.#docker.ping(), late]));
  }

  /** What the engine says of itself and its host, as far as it helps to find a fault. */
  async about(): Promise<Readonly<Record<string, unknown>>> {
    const [info, version] = await guard('info', () => Promise.all([this.#docker.info(), this.#docker.version()]));
    return aboutSchema.parse({ ...version, ...info });
  }

  /** Containers that carry every given label (`key` or `key=value`), stopped ones included. */
  async containers(label: readonly string[]): Promise<ContainerSummary[]> {
    const list = await guard('list containers', () =>
      this.#docker.listContainers({ all: true, filters: { label: [...label] } }),
    );
    return z
      .array(containerSchema)
      .parse(list)
      .map((c) => ({
        id: c.Id,
        name: (c.Names[0] ?? c.Id).replace(/^\//, ''),
        image: c.Image,
        imageId: c.ImageID,
        state: c.State,
        status: c.Status,
        labels: c.Labels,
      }));
  }

  /** @returns undefined when there is no such container (any more) */
  async inspect(id: string): Promise<ContainerDetail | undefined> {
    const raw = await orAbsent(() => guard('inspect', () => this.#docker.getContainer(id).inspect()));
    if (raw === undefined) return undefined;
    const c = inspectSchema.parse(raw);
    return {
      id: c.Id,
      name: c.Name.replace(/^\//, ''),
      image: c.Config.Image,
      imageId: c.Image,
      state: c.State.Status,
      running: c.State.Running,
      pid: c.State.Pid,
      exitCode: c.State.ExitCode,
      outOfMemory: c.State.OOMKilled,
      startedAt: c.State.StartedAt,
      finishedAt: c.State.FinishedAt,
      health: c.State.Health && c.State.Health.Status !== 'none' ? c.State.Health.Status : null,
      restarts: c.RestartCount,
      labels: c.Config.Labels,
      tty: c.Config.Tty,
      stopTimeout: c.Config.StopTimeout ?? null,
      published: Object.fromEntries(
        Object.entries(c.NetworkSettings.Ports ?? {}).map(([port, bindings]) => [
          port,
          (bindings ?? []).map(
            ({ HostIp, HostPort }) => `${HostIp.includes(':') ? `[${HostIp}]` : HostIp}:${HostPort}`,
          ),
        ]),
      ),
      addresses: Object.fromEntries(
        Object.entries(c.NetworkSettings.Networks ?? {}).map(([name, n]) => [name, n.IPAddress]),
      ),
    };
  }

  /** Chosen variables of a container; all others may be secrets and stay where they are. */
  async environment(id: string, keys: readonly string[]): Promise<Record<string, string>> {
    const raw = await orAbsent(() => guard('inspect', () => this.#docker.getContainer(id).inspect()));
    const pairs = environmentSchema.parse(raw ?? { Config: { Env: [] } }).Config.Env ?? [];
    return Object.fromEntries(
      pairs
        .map((pair) => [pair.split('=', 1)[0] ?? '', pair.slice(pair.indexOf('=') + 1)])
        .filter(([key = '']) => keys.includes(key)),
    );
  }

  /** @returns undefined when there is no such container (any more) */
  async rights(id: string): Promise<ContainerRights | undefined> {
    const raw = await orAbsent(() => guard('inspect', () => this.#docker.getContainer(id).inspect()));
    if (raw === undefined) return undefined;
    const { HostConfig, Mounts } = rightsSchema.parse(raw);
    const mounts = (Mounts ?? []).map(({ Type, Source, Destination, RW }) => ({
      type: Type,
      source: Source,
      target: Destination,
      writable: RW,
    }));
    return { privileged: HostConfig.Privileged, mounts };
  }

  async start(id: string): Promise<void> {
    await tolerate([304], () => guard('start', () => this.#docker.getContainer(id).start()));
  }

  /** Lets a paused container go on. */
  async unpause(id: string): Promise<void> {
    // 500 "is not paused" on engines before 24, 409 since.
    await tolerate([404, 409, 500], () => guard('unpause', () => this.#docker.getContainer(id).unpause()));
  }

  /**
   * Puts a container onto a network. A network that is not there is left to whoever makes it.
   * @param as.address fixed IPv4 address; the engine chooses one when absent
   * @param as.aliases further names of the container on that network
   */
  async connect(
    network: string,
    id: string,
    as: { readonly address?: string; readonly aliases: readonly string[] },
  ): Promise<void> {
    const endpoint = {
      Aliases: [...as.aliases],
      ...(as.address === undefined ? {} : { IPAMConfig: { IPv4Address: as.address } }),
    };
    await tolerate([404], () =>
      guard('connect', () => this.#docker.getNetwork(network).connect({ Container: id, EndpointConfig: endpoint })),
    );
  }

  /** Takes a container off a network. */
  async disconnect(network: string, id: string): Promise<void> {
    await tolerate([404], () =>
      guard('disconnect', () => this.#docker.getNetwork(network).disconnect({ Container: id, Force: true })),
    );
  }

  /** @param seconds how long the container may take to end by itself */
  async stop(id: string, seconds: number): Promise<void> {
    await tolerate([304, 404], () => guard('stop', () => this.#docker.getContainer(id).stop({ t: seconds })));
  }

  async restart(id: string, seconds: number): Promise<void> {
    await guard('restart', () => this.#docker.getContainer(id).restart({ t: seconds }));
  }

  /** Removes a container by force, keeping its named volumes. */
  async remove(id: string): Promise<void> {
    await tolerate([404, 409], () =>
      guard('remove', () => this.#docker.getContainer(id).remove({ force: true, v: true })),
    );
  }

  /** @returns undefined when the image is not on this host */
  async image(reference: string): Promise<ImageDetail | undefined> {
    const raw = await orAbsent(() => guard('inspect image', () => this.#docker.getImage(reference).inspect()));
    if (raw === undefined) return undefined;
    const image = imageSchema.parse(raw);
    return { id: image.Id, tags: image.RepoTags ?? [], digests: image.RepoDigests ?? [], bytes: image.Size };
  }

  /** Every image whose tag matches `pattern` (for example `appliance.local/name/*`). */
  async images(pattern: string): Promise<ImageDetail[]> {
    const list = await guard('list images', () => this.#docker.listImages({ filters: { reference: [pattern] } }));
    return z
      .array(imageSchema)
      .parse(list)
      .map((image) => ({
        id: image.Id,
        tags: image.RepoTags ?? [],
        digests: image.RepoDigests ?? [],
        bytes: image.Size,
      }));
  }

  /** @param name what it is to be called: `repository:tag` */
  async tagImage(reference: string, name: string): Promise<void> {
    const colon = name.lastIndexOf(':');
    const [repo, tag] = [name.slice(0, colon), name.slice(colon + 1)];
    await guard('tag image', () => this.#docker.getImage(reference).tag({ repo, tag }));
  }

  /** @returns whether something was removed; an image that a container uses is left alone */
  async removeImage(reference: string): Promise<boolean> {
    let removed = true;
    await tolerate(
      [404, 409],
      () => guard('remove image', () => this.#docker.getImage(reference).remove()),
      () => {
        removed = false;
      },
    );
    return removed;
  }

  /**
   * Images as one archive, as `docker save` writes it; a layer that they share is in it once. They are named by their ids
   * alone, so whoever loads it moves no name.
   * @param ids `sha256:…`
   */
  saveImages(ids: readonly string[], signal: AbortSignal): Promise<Readable> {
    return guard('save images', () => this.#stream('/images/get?', { names: [...ids] }, signal));
  }

  /** Loads an archive of images. See `loadImages`. */
  loadImages(archive: Readable, signal: AbortSignal): Promise<void> {
    return loadImages(this.#docker, archive, signal);
  }

  /** What the engine runs programs of. See `platformOf`. */
  platform(): Promise<string> {
    return platformOf(this.#docker);
  }

  async networks(): Promise<NetworkSummary[]> {
    const list = await guard('list networks', () => this.#docker.listNetworks());
    return z
      .array(networkSchema)
      .parse(list)
      .map((n) => ({
        id: n.Id,
        name: n.Name,
        subnets: (n.IPAM?.Config ?? []).flatMap((entry) => (entry.Subnet ? [entry.Subnet] : [])),
        labels: n.Labels,
      }));
  }

  /** Names of volumes that carry every given label. */
  async volumes(label: readonly string[]): Promise<string[]> {
    const answer = await guard('list volumes', () => this.#docker.listVolumes({ filters: { label: [...label] } }));
    return (
      z
        .object({ Volumes: z.array(z.object({ Name: z.string() })).nullish() })
        .parse(answer)
        .Volumes?.map((v) => v.Name) ?? []
    );
  }

  async createVolume(name: string, label: Readonly<Record<string, string>>): Promise<void> {
    await guard('create volume', () => this.#docker.createVolume({ Name: name, Labels: { ...label } }));
  }

  async removeVolume(name: string): Promise<void> {
    await tolerate([404], () => guard('remove volume', () => this.#docker.getVolume(name).remove()));
  }

  /**
   * Runs a program inside a container.
   * @returns `notRunning` where that container is stopped or gone
   * @param options.timeout milliseconds after which the answer is no longer awaited
   * @throws as `execStream`
   */
  async exec(
    id: string,
    argv: readonly string[],
    options: { readonly signal?: AbortSignal; readonly timeout: number },
  ): Promise<ExecResult> {
    const stdout = new Head(maxExecOutput);
    const { exitCode, stderr } = await execFed(this.#docker, id, { argv, ...options, stdout });
    return { exitCode, stdout: stdout.text, stderr };
  }

  /** Runs a program inside a container with streams of any length. See `execStream`. */
  execStream(id: string, request: ExecStream): Promise<ExecStreamResult> {
    return execStream(this.#docker, id, request);
  }

  /** Runs a program inside a container that reads a file of this host. See `execFrom`. */
  execFrom(id: string, request: ExecFile): Promise<ExecStreamResult> {
    return execFrom(this.#docker, id, request);
  }

  /** Runs a program inside a container whose output becomes a file of this host. See `execInto`. */
  execInto(id: string, request: Parameters<typeof execInto>[2]): ReturnType<typeof execInto> {
    return execInto(this.#docker, id, request);
  }

  /** Whether a program that somebody has started inside of a container still runs there. See `runsInside`. */
  runsInside(id: string, argv: readonly string[]): Promise<boolean> {
    return runsInside(this.#docker, id, argv);
  }

  /** Copies a path out of a container into a file, as a tar archive. @throws ApplianceError `engine_unreachable` */
  async archive(id: string, path: string, to: string, signal: AbortSignal): Promise<void> {
    const stream = await guard('copy', () => this.#docker.getContainer(id).getArchive({ path }));
    await pipeline(stream, createWriteStream(to, { flags: 'wx', mode: 0o600 }), { signal });
  }

  /**
   * Runs a program in a container of its own that has no network, no privileges and nothing to write to, and removes it.
   * @param request.readOnly directory on the host → where it is mounted
   * @param request.memory bytes; @param request.timeout milliseconds
   * @throws ApplianceError `timeout`; `engine_unreachable`
   */
  runOnce(request: RunOnce): Promise<RunOnceResult> {
    return runOnce(this.#docker, request);
  }

  /** Runs a program in a container of its own with mounts and limits, and tells its output as it comes. See `runTask`. */
  runTask(task: Task): Promise<TaskResult> {
    return runTask(this.#docker, task);
  }

  /** @see startThrowaway of host/docker-throwaway.ts */
  startThrowaway(wish: Throwaway): Promise<string> {
    return startThrowaway(this.#docker, wish);
  }

  /** @see startTwin of host/docker-throwaway.ts */
  startTwin(other: string, limits: ThrowawayLimits): Promise<string | undefined> {
    return startTwin(this.#docker, other, limits);
  }

  /**
   * Follows what changes the state of labelled containers until the signal aborts or the engine goes away.
   * @param since milliseconds since 1970: the engine begins with what it has told of from that second on
   */
  async *containerEvents(label: readonly string[], since: number, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const stream = await guard('events', () =>
      this.#docker.getEvents({
        since: Math.floor(since / 1_000),
        filters: { label: [...label], type: ['container'], event: [...stateEvents] },
        abortSignal: signal,
      }),
    );
    let rest = '';
    for await (const chunk of stream) {
      rest += chunk.toString();
      const lines = rest.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line.trim() === '') continue;
        const event = eventSchema.safeParse(JSON.parse(line));
        if (!event.success) continue;
        yield {
          action: event.data.Action,
          id: event.data.Actor.ID,
          attributes: event.data.Actor.Attributes ?? {},
        };
      }
    }
  }

  /**
   * A container's log, each chunk one or more whole lines with the engine's time stamp in front.
   * @param options.since seconds since 1970
   * @param options.tail lines from the end
   */
  async *logs(
    container: { readonly id: string; readonly tty: boolean },
    options: {
      readonly follow: boolean;
      readonly since?: number;
      readonly tail?: number;
      readonly signal: AbortSignal;
    },
  ): AsyncGenerator<LogChunk> {
    const { follow, since, tail, signal } = options;
    const query = {
      stdout: true,
      stderr: true,
      timestamps: true,
      follow,
      ...(since === undefined ? {} : { since }),
      ...(tail === undefined ? {} : { tail }),
    };
    const stream = await guard('logs', () => this.#stream(`/containers/${container.id}/logs?`, query, signal));
    const text = new StringDecoder('utf8');
    let rest = Buffer.alloc(0);
    for await (const chunk of stream) {
      const data = Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk);
      if (container.tty) {
        yield { stream: 'stdout', text: text.write(data) };
        continue;
      }
      rest = Buffer.concat([rest, data]);
      const { frames, consumed } = readFrames(rest);
      rest = rest.subarray(consumed);
      yield* frames;
    }
  }

  /** An answer as it comes. dockerode itself keeps a log that is not followed in memory until it is whole. */
  #stream(path: string, query: Readonly<Record<string, unknown>>, abortSignal: AbortSignal): Promise<IncomingMessage> {
    const statusCodes = { 200: true, 404: 'no such container', 500: 'server error' };
    return new Promise((resolve, reject) => {
      this.#docker.modem.dial(
        { path, method: 'GET', isStream: true, statusCodes, options: { ...query }, abortSignal },
        (error, answer) => {
          if (error) reject(error);
          else if (answer instanceof IncomingMessage) resolve(answer);
          else reject(new TypeError(`the engine did not answer ${path} with a stream`));
        },
      );
    });
  }
}
