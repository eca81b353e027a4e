import type { Colour } from '../../lib/colour.ts';

// What a diagnosis rests on. Everything is gathered before it is judged, so that judging is pure; what could not be seen
// says why, and is never taken for well.

/** Something that was looked at. */
export type Seen<T> = { readonly known: true; readonly value: T } | { readonly known: false; readonly why: string };

export const seen = <T>(value: T): Seen<T> => ({ known: true, value });
export const unseen = (why: string): Seen<never> => ({ known: false, why });

/** A container that the core or the live release consists of. */
export interface ServiceSeen {
  /** `backend-1`. */
  readonly name: string;
  /** As the Compose file calls it. */
  readonly service: string;
  readonly role: string;
  /** `running`, `exited`, `paused` …; `missing` where there is no such container. */
  readonly state: string;
  readonly health: string | null;
  readonly exitCode: number;
  readonly outOfMemory: boolean;
  readonly restarts: number;
  /** RFC 3339; null while it runs, or where it never did. */
  readonly endedAt: string | null;
  /** Share of its memory limit that it uses, 0 to 1; null without a limit or a measurement. */
  readonly memoryShare: number | null;
}

/** An answer, or why there is none. */
interface AnswerSeen {
  readonly status: number | null;
  readonly problem: string | null;
}

/** What one service's last lines speak of. */
interface LogSeen {
  readonly service: string;
  /** Lines that were read. */
  readonly lines: number;
  readonly signs: readonly LogSign[];
}
export interface LogSign {
  readonly kind: LogSignKind;
  readonly count: number;
  /** The last of them, without secrets. */
  readonly last: string;
}
export const logSignKinds = [
  'database',
  'memory',
  'disk',
  'permission',
  'environment',
  'name',
  'connection',
  'error',
] as const;
export type LogSignKind = (typeof logSignKinds)[number];

/** Everything that can be looked at. Times are milliseconds since 1970, sizes bytes, shares 0 to 1. */
export interface EvidenceTypes {
  /** Whether an agent runs and answers. */
  readonly agent: { readonly running: boolean; readonly problem: string | null };
  readonly configuration: { readonly problem: string | null; readonly hint: string | null };
  readonly engine: { readonly problem: string | null };
  readonly live: {
    readonly tag: string;
    readonly colour: Colour;
    /** Seconds since it went live. */
    readonly age: number;
    readonly previous: { readonly tag: string; readonly state: string } | null;
  } | null;
  /** Containers of the core and of the live release. */
  readonly services: readonly ServiceSeen[];
  /** The edge: whether it answers, and the share of requests that each colour gets, 0 to 100. */
  readonly edge: { readonly answers: boolean; readonly weights: Readonly<Record<Colour, number>> | null };
  /** What the edge answers on each route right now. */
  readonly routes: readonly (AnswerSeen & { readonly path: string; readonly service: string })[];
  /** What each container of the live release answers when it is asked straight. */
  readonly instances: readonly (AnswerSeen & { readonly service: string; readonly address: string })[];
  /** What the edge has answered lately. */
  readonly requests: {
    readonly seconds: number;
    readonly total: number;
    readonly serverErrors: number;
    readonly p95: number | null;
    /** Share of requests that took longer than 0.5 s; null without requests. */
    readonly slow: number | null;
  };
  /** The last 100 lines of each service (S1-74). */
  readonly logs: readonly LogSeen[];
  /** Null where appliance.yaml names no database. */
  readonly database: {
    readonly service: string;
    readonly problem: string | null;
    readonly used: number;
    readonly limit: number;
  } | null;
  readonly environment: {
    readonly file: string | null;
    readonly problem: string | null;
    readonly emptied: readonly string[];
  };
  readonly machine: {
    readonly processors: number;
    /** Processes that want a processor, over the last minute. */
    readonly load: number;
    readonly memory: number;
    readonly memoryFree: number | null;
  };
  readonly disk: {
    readonly directory: string;
    readonly total: number;
    readonly free: number;
    /** Share of inodes that is free; null where the file system has no fixed number. */
    readonly inodesFree: number | null;
    /** What takes how much, the largest first. */
    readonly takes: readonly { readonly what: string; readonly bytes: number }[];
  };
  /** Null where appliance.yaml has no models. */
  readonly models: {
    readonly directory: string;
    /** Null: no manifest can be used; `problem` says why. */
    readonly active: { readonly name: string; readonly version: string; readonly sha256: string } | null;
    readonly problem: string | null;
    /** Seconds since the manifest was written. */
    readonly age: number | null;
    /** Names of files beside the manifest. */
    readonly files: readonly string[];
    /** Files that the manifest names and that are not there. */
    readonly missing: readonly string[];
    readonly loaded: readonly { readonly name: string; readonly sha256: string | null; readonly said: string }[];
    readonly mayTrain: boolean;
  } | null;
  /** Null where appliance.yaml has no trainer. */
  readonly training: {
    /** `idle`, `running`, `succeeded`, `failed`, `interrupted`; null where it does not say. */
    readonly state: string | null;
    readonly detail: string | null;
    readonly run: string | null;
    /** How a run without consequences is answered: 202 where one could begin (S1-35). */
    readonly trial: AnswerSeen & { readonly said: string };
    /** Whether the request of the last run lies in the directory of any process, and whether all can write there. */
    readonly request: boolean | null;
    readonly writable: boolean | null;
    /** How the last `models retrain` ended. */
    readonly operation: { readonly result: string; readonly error: string | null } | null;
  } | null;
  /** The page that people train with. Null where no route leads to one. */
  readonly page: {
    readonly path: string;
    readonly answer: AnswerSeen;
    /** Whether it is a page at all. */
    readonly html: boolean;
    readonly login: AnswerSeen & { readonly token: boolean };
    /** Names that the application lets other pages call it from; null where it does not say. */
    readonly allowed: string | null;
    /** Names that browsers know this appliance by. */
    readonly domains: readonly string[];
  } | null;
  /** Null where no metric `cache-hits` is declared. */
  readonly cache: { readonly hits: number | null; readonly why: string | null } | null;
  /** What Prometheus knows of the model's answers. */
  readonly predictions: {
    readonly spread: number | null;
    readonly drift: number | null;
    readonly accuracy: number | null;
    readonly why: string | null;
  };
  readonly certificates: readonly {
    readonly set: string;
    readonly domains: readonly string[];
    readonly kind: string | null;
    readonly notAfter: number | null;
    readonly serial: string | null;
    readonly servedSerial: string | null;
    readonly due: string | null;
    readonly lastError: string | null;
    readonly nextAttempt: number | null;
    /** Names of its domains that do not resolve to an address. */
    readonly unresolved: readonly string[];
  }[];
  readonly alerting: {
    readonly receivers: number;
    /** Where Alertmanager is, and why it cannot be asked; null where none is configured. */
    readonly alertmanager: { readonly address: string; readonly problem: string | null } | null;
    /** Why Prometheus cannot be asked; null when it can be. `undefined` where none is configured. */
    readonly prometheus: { readonly problem: string | null; readonly rules: boolean } | null;
    readonly refused: readonly { readonly channel: string; readonly refused: number; readonly accepted: number }[];
    readonly silences: readonly { readonly id: string; readonly matchers: string; readonly until: string }[];
    readonly firing: readonly { readonly name: string; readonly severity: string; readonly summary: string }[];
    /** Targets that Prometheus cannot scrape. */
    readonly down: readonly string[];
  };
  readonly backups: {
    readonly enabled: boolean;
    readonly lastSuccess: number | null;
    readonly newest: { readonly id: string; readonly state: string } | null;
    readonly overdueSeconds: number;
    readonly error: string | null;
    readonly waitsFor: string | null;
    readonly nextRun: string | null;
    readonly damaged: boolean;
    /** Whether there is a key, and whether a repository lies there. */
    readonly key: boolean;
    readonly repository: boolean;
    readonly targets: readonly { readonly name: string; readonly failures: number; readonly error: string | null }[];
  };
  /** What runs, and what was left open. */
  readonly operations: {
    readonly running: { readonly id: string; readonly kind: string; readonly startedAt: string } | null;
    readonly rollout: { readonly to: string; readonly weight: number } | null;
    readonly lastFailed: {
      readonly id: string;
      readonly kind: string;
      readonly result: string;
      readonly error: string | null;
    } | null;
  };
  /** The number of the database's schema, and the one that the live release was built for. */
  readonly schema: { readonly today: number | null; readonly wanted: number | null };
  /** What `appliance check security` said last. */
  readonly security: readonly { readonly id: string; readonly observed: string; readonly time: string }[];
}

export type EvidenceName = keyof EvidenceTypes;
export type Evidence = { readonly [Name in EvidenceName]: Seen<EvidenceTypes[Name]> };

/** What each piece of evidence is called, for people. */
export const evidenceTitles: { readonly [Name in EvidenceName]: string } = {
  agent: 'the agent',
  configuration: 'appliance.yaml',
  engine: 'the Docker Engine',
  live: 'the live release',
  services: 'containers',
  edge: 'the edge',
  routes: 'requests through the edge',
  instances: 'requests straight to containers',
  requests: 'the access log',
  logs: 'the last lines of each log',
  database: 'the database',
  environment: 'the environment file',
  machine: 'processor and memory',
  disk: 'the disk',
  models: 'the models',
  training: 'the trainer',
  page: 'the training page',
  cache: 'the cache',
  predictions: "the model's answers",
  certificates: 'certificates',
  alerting: 'alerting',
  backups: 'backups',
  operations: 'operations',
  schema: 'the schema of the database',
  security: 'the last security checks',
};
