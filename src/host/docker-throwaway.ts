import type Docker from 'dockerode';
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

/**
 * Starts a container without a network, whose data live in a volume without a name and go with it (`Engine.remove`).
 * @returns its id
 * @throws ApplianceError `not_measured` where the image is not on this host; `engine_unreachable`
 */
export async function startThrowaway(docker: Docker, wish: Throwaway): Promise<string> {
  const { image, argv, environment, labels, memory, processors } = wish;
  const options: Docker.ContainerCreateOptions = {
    Image: image,
    Cmd: [...argv],
    Env: Object.entries(environment).map(([key, value]) => `${key}=${value}`),
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
  if (!container) throw new ApplianceError('not_measured', `the image ${image} is not on this host`);
  await guard('start', () => container.start());
  return container.id;
}
