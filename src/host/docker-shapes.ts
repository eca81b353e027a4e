import { z } from 'zod';

// What the engine answers, and what of it the program looks at.

const labels = z
  .record(z.string(), z.string())
  .nullish()
  .transform((value) => value ?? {});

export const containerSchema = z.object({
  Id: z.string(),
  Names: z.array(z.string()),
  Image: z.string(),
  ImageID: z.string(),
  State: z.string(),
  Status: z.string(),
  Created: z.number(),
  Labels: labels,
});

/** One line of the engine's container list. */
export interface ContainerSummary {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly imageId: string;
  /** `running`, `exited`, `created`, `restarting`, `paused`, `dead`. */
  readonly state: string;
  readonly status: string;
  readonly labels: Readonly<Record<string, string>>;
}

export const inspectSchema = z.object({
  Id: z.string(),
  Name: z.string(),
  Image: z.string(),
  RestartCount: z.number().default(0),
  State: z.object({
    Status: z.string(),
    Running: z.boolean(),
    Pid: z.number().default(0),
    ExitCode: z.number(),
    OOMKilled: z.boolean().default(false),
    StartedAt: z.string(),
    FinishedAt: z.string().default(''),
    Health: z.object({ Status: z.string() }).nullish(),
  }),
  Config: z.object({
    Image: z.string(),
    Labels: labels,
    Tty: z.boolean().default(false),
    StopTimeout: z.number().nullish(),
  }),
  NetworkSettings: z.object({
    Networks: z.record(z.string(), z.object({ IPAddress: z.string() })).nullish(),
    Ports: z.record(z.string(), z.array(z.object({ HostIp: z.string(), HostPort: z.string() })).nullish()).nullish(),
  }),
});

export const rightsSchema = z.object({
  HostConfig: z.object({ Privileged: z.boolean().default(false) }),
  Mounts: z
    .array(z.object({ Type: z.string(), Source: z.string().default(''), Destination: z.string(), RW: z.boolean() }))
    .nullish(),
});

/** What a container could do to its host. */
export interface ContainerRights {
  readonly privileged: boolean;
  readonly mounts: readonly {
    readonly type: string;
    readonly source: string;
    readonly target: string;
    readonly writable: boolean;
  }[];
}

export interface ContainerDetail {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly imageId: string;
  readonly state: string;
  readonly running: boolean;
  /** Process id on the host; 0 when it does not run. */
  readonly pid: number;
  readonly exitCode: number;
  readonly outOfMemory: boolean;
  readonly startedAt: string;
  /** When it last ended, RFC 3339; year 1 when it never did. */
  readonly finishedAt: string;
  /** `healthy`, `unhealthy`, `starting`; null without a healthcheck. */
  readonly health: string | null;
  readonly restarts: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly tty: boolean;
  /** Seconds that it gets to end by itself when nobody says otherwise (`stop_grace_period`); null: the engine's 10. */
  readonly stopTimeout: number | null;
  /** Port inside (`80/tcp`) → where on the host it is published right now (`127.0.0.1:8080`, `[::]:8080`). */
  readonly published: Readonly<Record<string, readonly string[]>>;
  /** Network name → IPv4 address. */
  readonly addresses: Readonly<Record<string, string>>;
}

export const imageSchema = z.object({
  Id: z.string(),
  RepoTags: z.array(z.string()).nullish(),
  RepoDigests: z.array(z.string()).nullish(),
  Size: z.number(),
});

export interface ImageDetail {
  readonly id: string;
  readonly tags: readonly string[];
  readonly digests: readonly string[];
  /** Bytes, all layers. */
  readonly bytes: number;
}

export const eventSchema = z.object({
  Action: z.string(),
  Actor: z.object({ ID: z.string(), Attributes: z.record(z.string(), z.string()).nullish() }),
  time: z.number(),
});

/** Something that happened to a container. */
export interface EngineEvent {
  /** `start`, `die`, `health_status: healthy`, … */
  readonly action: string;
  readonly id: string;
  readonly attributes: Readonly<Record<string, string>>;
}

export const networkSchema = z.object({
  Id: z.string(),
  Name: z.string(),
  IPAM: z.object({ Config: z.array(z.object({ Subnet: z.string().optional() })).nullish() }).nullish(),
  Labels: labels,
});

export interface NetworkSummary {
  readonly id: string;
  readonly name: string;
  readonly subnets: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

export interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface LogChunk {
  readonly stream: 'stdout' | 'stderr';
  readonly text: string;
}
