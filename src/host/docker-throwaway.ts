import type Docker from 'dockerode';
import { z } from 'zod';
import { ApplianceError } from '../lib/errors.ts';
import { guard, orAbsent } from './docker-failures.ts';

/** A server of its own that is thrown away. */
export interface Throwaway {
  readonly image: string;
  /** Arguments of the image's entry point. */
  readonly argv: readonly string[];
  /** Never a secret: whoever may ask the engine can read it. */
  readonly environment: Readonly<Record<string, string>>;
  /** By these it is found again after a crash. */
  readonly labels: Readonly<Record<string, string>>;
  /** Bytes. */
  readonly memory: number;
  readonly processors: number;
}

/** What every server that is thrown away may use. */
export type ThrowawayLimits = Pick<Throwaway, 'labels' | 'memory' | 'processors'>;

const madeSchema = z.object({
  Image: z.string(),
  Config: z.object({
    Cmd: z.array(z.string()).nullish(),
    Entrypoint: z.array(z.string()).nullish(),
    Env: z.array(z.string()).nullish(),
    User: z.string().default(''),
    WorkingDir: z.string().default(''),
  }),
});

/**
 * Starts a container without a network, whose data live in a volume without a name and go with it (`Engine.remove`).
 * @returns its id
 * @throws ApplianceError `not_measured` where the image is not on this host; `engine_unreachable`
 */
export async function startThrowaway(docker: Docker, wish: Throwaway): Promise<string> {
  const { image, argv, environment } = wish;
  const Env = Object.entries(environment).map(([key, value]) => `${key}=${value}`);
  const id = await startAlone(docker, { Image: image, Cmd: [...argv], Env }, wish);
  if (id === undefined) throw new ApplianceError('not_measured', `the image ${image} is not on this host`);
  return id;
}

/**
 * Starts a container with the image, command and environment of another one, and nothing else of it: no network, volumes or
 * files of the host. Its environment goes from the engine to the engine and is kept nowhere else.
 * @returns its id; undefined where the other one, or its image, is gone
 * @throws ApplianceError `engine_unreachable`
 */
export async function startTwin(docker: Docker, other: string, limits: ThrowawayLimits): Promise<string | undefined> {
  const raw = await orAbsent(() => guard('inspect', () => docker.getContainer(other).inspect()));
  if (raw === undefined) return undefined;
  const { Image, Config } = madeSchema.parse(raw);
  const { Cmd, Entrypoint, Env, User, WorkingDir } = Config;
  const made = {
    ...{ Image, Env: Env ?? [], User, WorkingDir },
    ...(Cmd ? { Cmd } : {}),
    ...(Entrypoint ? { Entrypoint } : {}),
  };
  return startAlone(docker, made, limits);
}

async function startAlone(
  docker: Docker,
  made: Docker.ContainerCreateOptions,
  { labels, memory, processors }: ThrowawayLimits,
): Promise<string | undefined> {
  const options: Docker.ContainerCreateOptions = {
    ...made,
    Labels: { ...labels },
    NetworkDisabled: true,
    Healthcheck: { Test: ['NONE'] },
    HostConfig: {
      NetworkMode: 'none',
      Memory: memory,
      MemorySwap: memory,
      NanoCpus: Math.round(processors * 1e9),
      CpuShares: 128,
      SecurityOpt: ['no-new-privileges'],
      RestartPolicy: { Name: 'no' },
      LogConfig: { Type: 'json-file', Config: { 'max-size': '1m' } },
    },
  };
  const container = await orAbsent(() => guard('create', () => docker.createContainer(options)));
  if (!container) return undefined;
  await guard('start', () => container.start());
  return container.id;
}
