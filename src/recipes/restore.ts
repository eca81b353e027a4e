import { count } from '../lib/text.ts';
import type { PlannedStep, StepType } from '../operations/step.ts';
import type { Side, Steps } from './steps.ts';

interface Schema {
  readonly version: number;
  readonly readableFrom: number;
}

interface DatabaseName {
  readonly service: string;
  readonly database: string;
}

interface DeclaredDump {
  readonly service: string;
  readonly path: string;
  readonly rows: Record<string, number> | null;
}

interface VersionName {
  readonly name: string;
  readonly version: string;
}

/** What the recipes of a restore put in order. */
export interface RestoreSteps {
  readonly stageRestore: StepType<{
    readonly resticId: string;
    readonly paths: string[];
    readonly hashes: Record<string, string>;
    readonly versions: { readonly name: string; readonly version: string; readonly sha256: string }[];
    readonly loose: string[];
    readonly registry: string | null;
    readonly bytes: number;
  }>;
  readonly loadDatabase: StepType<
    DatabaseName & {
      readonly path: string;
      readonly roles: string | null;
      readonly rows: Record<string, number> | null;
    }
  >;
  readonly swapDatabase: StepType<DatabaseName & { readonly schema: Schema | null; readonly previous: Schema | null }>;
  /** For databases that only commands of their own can load: tried elsewhere, kept, replaced. */
  readonly rehearseDatabase: StepType<DeclaredDump>;
  readonly keepDatabase: StepType<{ readonly service: string; readonly required: boolean }>;
  readonly replaceDatabase: StepType<
    DeclaredDump & { readonly fresh: boolean; readonly schema: Schema | null; readonly previous: Schema | null }
  >;
  readonly restoreModels: StepType<{
    readonly versions: VersionName[];
    readonly registry: boolean;
    readonly loose: boolean;
    readonly served: boolean;
    readonly to: (VersionName & { readonly sha256: string }) | null;
    readonly from: VersionName | null;
  }>;
  readonly restoreConfig: StepType<Record<string, never>>;
  /** On a bare host: the snapshot that its files were made from. */
  readonly adoptRecovery: StepType<Record<string, never>>;
  readonly endRecovery: StepType<Record<string, never>>;
  readonly finishRestore: StepType<{
    readonly databases: DatabaseName[];
    /** Services. */
    readonly declared: string[];
    readonly models: boolean;
    readonly config: boolean;
  }>;
}

/** A database as a snapshot has it. */
export interface SnapshotDatabase extends DatabaseName {
  /** Dump, relative to the snapshot. */
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly rows: Readonly<Record<string, number>> | null;
  /** The accounts of its server; null when the snapshot has none. */
  readonly roles: { readonly path: string; readonly sha256: string } | null;
}

/** A database as its own command has dumped it. */
export interface DeclaredDatabase {
  readonly service: string;
  /** Dump, relative to the snapshot. */
  readonly path: string;
  readonly sha256: string;
  readonly bytes: number;
  readonly rows: Readonly<Record<string, number>> | null;
}

/** What is brought back of a snapshot, after a look at what is there. */
export interface RestoreFacts {
  readonly snapshot: { readonly id: string; readonly resticId: string };
  readonly databases: readonly SnapshotDatabase[];
  /** Those that only commands of their own can load. */
  readonly declared: readonly DeclaredDatabase[];
  /** Schema of the databases in the snapshot, and of those in use. */
  readonly schema: Schema | null;
  readonly previous: Schema | null;
  /** Null when models are left alone. */
  readonly models: {
    /** Versions that are not here as the snapshot has them. */
    readonly versions: readonly (VersionName & { readonly sha256: string; readonly bytes: number })[];
    /** Files of the snapshot that belong to no version, by their paths in the models directory. */
    readonly loose: readonly { readonly path: string; readonly bytes: number }[];
    /** Whether they are what is served, as of a release without a registry. */
    readonly served: boolean;
    /** SHA-256 of the registry; null when it stays. */
    readonly registry: string | null;
    /** What is to be in force; null when the pointer stays. */
    readonly to: (VersionName & { readonly sha256: string }) | null;
    readonly from: VersionName | null;
    /** Milliseconds that running processes may take to load it, restarts included. */
    readonly confirm: number;
  } | null;
  readonly config: boolean;
  /** What serves, and must serve afterwards; null when nothing is live. */
  readonly live: Side | null;
  /** Milliseconds. */
  readonly healthTimeout: number;
  /** The snapshot of today, which is made first; none when a person does without. */
  readonly safety: readonly PlannedStep[];
}

/** Two weeks, in milliseconds: timers of Node.js end at 24.8 days. */
const longest = 14 * 86_400_000;
/** Bytes per second that a slow disk and a slow network still manage; only for deadlines. */
const slowest = 1_000_000;

const deadlineFor = (bytes: number): number => Math.min(longest, 600_000 + Math.ceil(bytes / slowest) * 1_000);
/** What comes beside what is in use. Of a database that is replaced in its place, what is in use is kept there as well. */
const sizeOf = ({ databases, declared, models }: Pick<RestoreFacts, 'databases' | 'declared' | 'models'>): number =>
  [...databases, ...declared, ...declared, ...(models?.versions ?? []), ...(models?.loose ?? [])].reduce(
    (sum, { bytes }) => sum + bytes,
    0,
  );

/**
 * From a snapshot back to the data that it holds (S1-63, S1-64): a snapshot of today, everything staged and proven beside
 * what is in use, then the exchange, then the proof by what serves. Pure. What is exchanged is kept until the proof, so a
 * failure takes all of it back.
 */
export function planRestore(facts: RestoreFacts, steps: RestoreSteps & Pick<Steps, 'waitHealthy'>): PlannedStep[] {
  const { live, healthTimeout } = facts;
  const swaps = [...exchangeSteps(facts, steps), ...fileSteps(facts, steps)];
  // A crash from the first exchange on is finished.
  const exchange = swaps.map((step, index) => ({ ...step, pivot: index === 0 }));
  return [
    ...facts.safety,
    ...besideSteps(facts, steps),
    ...keepSteps(facts, steps),
    ...exchange,
    ...(live
      ? [
          steps.waitHealthy.plan(
            { release: live.release, colour: live.colour, timeout: healthTimeout },
            {
              title: `prove that ${live.tag} serves with what was restored`,
              cause: 'a restore that nothing can work with is taken back',
              deadline: healthTimeout + 30_000,
            },
          ),
        ]
      : []),
    finishStep(facts, steps),
  ];
}

/** Everything that can be done while what is in use stays in use. */
export function besideSteps(facts: RestoreFacts, steps: RestoreSteps): PlannedStep[] {
  const { snapshot, databases, declared, models, config } = facts;
  const bytes = sizeOf(facts);
  // Several databases of one server have their accounts in one file.
  const hashes = Object.fromEntries(
    [...databases.flatMap(({ roles, ...dump }) => [dump, ...(roles ? [roles] : [])]), ...declared].map((file) => [
      file.path,
      file.sha256,
    ]),
  );
  return [
    steps.stageRestore.plan(
      {
        resticId: snapshot.resticId,
        paths: [...Object.keys(hashes), ...(config ? ['config', 'certificates'] : [])],
        hashes,
        versions: (models?.versions ?? []).map(({ name, version, sha256 }) => ({ name, version, sha256 })),
        loose: (models?.loose ?? []).map(({ path }) => path),
        registry: models?.registry ?? null,
        bytes,
      },
      {
        title: `stage ${snapshot.id} and compare its hashes`,
        cause: 'nothing is touched before all of it is here and proven',
        deadline: deadlineFor(bytes),
      },
    ),
    ...loadSteps(facts, steps),
    ...declared.map(({ service, path, rows, bytes: size }) =>
      steps.rehearseDatabase.plan(
        { service, path, rows },
        {
          title: `try the dump of ${service} in a server of its own`,
          cause: 'only its restore command can load it, into the one in use',
          deadline: deadlineFor(size),
        },
      ),
    ),
  ];
}

/** What is in use of databases that are replaced in their place, dumped as late as can be. */
export function keepSteps({ declared, safety }: RestoreFacts, steps: RestoreSteps): PlannedStep[] {
  return declared.map(({ service, bytes }) =>
    steps.keepDatabase.plan(
      { service, required: safety.length > 0 },
      {
        title: `dump what ${service} holds now`,
        cause: 'the same command brings it back when the proof does not come',
        deadline: deadlineFor(bytes),
      },
    ),
  );
}

function replaceSteps(
  { declared, schema }: Pick<RestoreFacts, 'declared' | 'schema'>,
  { previous, fresh }: { readonly previous: Schema | null; readonly fresh: boolean },
  steps: RestoreSteps,
): PlannedStep[] {
  return declared.map(({ service, path, rows, bytes }) =>
    steps.replaceDatabase.plan(
      { service, path, rows, fresh, schema, previous },
      {
        title: `load the dump into ${service} by its restore command`,
        cause: fresh ? 'the new server is empty' : 'it has no other way; what applications write meanwhile is lost',
        deadline: deadlineFor(bytes),
      },
    ),
  );
}

function loadSteps({ databases }: Pick<RestoreFacts, 'databases'>, steps: RestoreSteps): PlannedStep[] {
  return databases.map(({ service, database, path, rows, bytes, roles }) =>
    steps.loadDatabase.plan(
      { service, database, path, rows, roles: roles?.path ?? null },
      {
        title: `load ${database} beside the one in use and count its rows`,
        cause: 'the one in use goes on serving meanwhile',
        deadline: deadlineFor(bytes),
      },
    ),
  );
}

/**
 * The moments at which clients get the other data. What is loaded in its place comes first: it takes longer and may fail, and
 * nothing else has been exchanged then.
 */
export function exchangeSteps(facts: RestoreFacts, steps: RestoreSteps): PlannedStep[] {
  const { databases, schema, previous } = facts;
  const swaps = databases.map(({ service, database }) =>
    steps.swapDatabase.plan(
      { service, database, schema, previous },
      {
        title: `put ${database} of the snapshot in place`,
        cause: 'two renames in one transaction; the old one is kept until the proof',
        deadline: 180_000,
      },
    ),
  );
  return [...replaceSteps(facts, { previous, fresh: false }, steps), ...swaps];
}

function modelsText({ versions, loose, served, registry }: NonNullable<RestoreFacts['models']>): string {
  const parts = [
    ...(served ? ['the model'] : versions.length > 0 ? [count(versions.length, 'model')] : []),
    ...(!served && loose.length > 0 ? [`${count(loose.length, 'file')} beside the versions`] : []),
    ...(registry === null ? [] : ['the registry']),
  ];
  return parts.length === 0 ? 'no model' : parts.join(', ').replace(/, ([^,]*)$/, ' and $1');
}

function fileSteps({ models, config }: RestoreFacts, steps: RestoreSteps): PlannedStep[] {
  return [
    ...(models
      ? [
          steps.restoreModels.plan(
            {
              versions: models.versions.map(({ name, version }) => ({ name, version })),
              registry: models.registry !== null,
              loose: models.loose.length > 0,
              served: models.served,
              to: models.to,
              from: models.from,
            },
            {
              title: `put ${modelsText(models)} in place`,
              cause: models.to
                ? `${models.to.name}@${models.to.version} was in force; running processes prove that they have loaded it`
                : 'by renames; what is replaced is kept until the proof',
              deadline: models.confirm + 120_000,
            },
          ),
        ]
      : []),
    ...(config
      ? [
          steps.restoreConfig.plan(
            {},
            {
              title: 'put the configuration in place',
              cause: 'each file in one rename; the agent reads it when this operation has ended',
            },
          ),
        ]
      : []),
  ];
}

/**
 * From the files of a snapshot to an appliance that serves (S4-38): the core, its databases, then the release that was live.
 * Pure. @param up the steps that make the machine what the records say
 */
export function planRecovery(
  facts: Pick<RestoreFacts, 'databases' | 'declared' | 'schema'>,
  up: readonly PlannedStep[],
  steps: RestoreSteps,
): PlannedStep[] {
  const core = up.findIndex(({ action }) => action === 'start-core') + 1;
  const { schema } = facts;
  return [
    ...up.slice(0, core),
    steps.adoptRecovery.plan({}, { title: 'take the snapshot over', cause: 'its files are in place already' }),
    ...loadSteps(facts, steps),
    ...facts.databases.map(({ service, database }) =>
      steps.swapDatabase.plan(
        { service, database, schema, previous: schema },
        { title: `put ${database} in place`, cause: 'the new server is empty', deadline: 180_000 },
      ),
    ),
    ...replaceSteps(facts, { previous: schema, fresh: true }, steps),
    ...up.slice(core),
    finishStep({ ...facts, models: null, config: false }, steps),
    steps.endRecovery.plan({}, { title: 'end the recovery', cause: 'everything is in place', deadline: 600_000 }),
  ];
}

export function finishStep(
  { databases, declared, models, config }: Pick<RestoreFacts, 'databases' | 'declared' | 'models' | 'config'>,
  steps: Pick<RestoreSteps, 'finishRestore'>,
): PlannedStep {
  return steps.finishRestore.plan(
    {
      databases: databases.map(({ service, database }) => ({ service, database })),
      declared: declared.map(({ service }) => service),
      models: models !== null,
      config,
    },
    {
      title: 'remove what was replaced',
      cause: 'the proof has come; today is in the safety snapshot',
      optional: true,
      deadline: 600_000,
    },
  );
}
