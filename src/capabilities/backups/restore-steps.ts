import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Finding } from '../../lib/verdict.ts';
import { defineStep } from '../../operations/step.ts';
import { placing } from './in-the-way.ts';
import { type CommandRestoreDeps, createCommandSteps, schemaState } from './restore-commands.ts';
import { type ConfigTargets, configFiles, placeConfig, unplaceConfig } from './restore-config.ts';
import {
  allBeside,
  countRows,
  dropDatabase,
  loadDatabase,
  namesBeside,
  swapBack,
  swapDatabase,
} from './restore-database.ts';
import { clearEarlier, keptIn } from './restore-leftovers.ts';
import {
  placeLoose,
  placeRegistry,
  placeVersion,
  unplaceLoose,
  unplaceRegistry,
  unplaceVersion,
  type VersionName,
} from './restore-models.ts';
import { loadRoles } from './restore-roles.ts';
import type { RestoreServer } from './restore-server.ts';
import { clear, modelStagingOf, type StageDeps, stageRestore, stagingOf } from './restore-stage.ts';
import { rowDifferences } from './rows.ts';

export interface RestoreDeps extends StageDeps, CommandRestoreDeps {
  /** The running database server of a core service. @throws ApplianceError `database_unreachable` */
  readonly server: (service: string, signal: AbortSignal) => Promise<RestoreServer>;
  /** Does something while nobody of this process has the registry of models open. */
  readonly withoutRegistry: (work: () => void) => void;
  readonly pointer: {
    read(): Promise<VersionName | null>;
    write(to: VersionName | null): Promise<void>;
  };
  /** Lets running processes load what is in force, and proves it. @returns what they say, for people */
  readonly loadModel: (sha256: string, signal: AbortSignal, progress: (text: string) => void) => Promise<string>;
  readonly config: ConfigTargets;
  /** Where a bare host has the snapshot that it is made from, and the note of how far it is. */
  readonly recovered: string;
  readonly recoveryNote: string;
}

/** Milliseconds that pg_restore may take: a day, which only ends what hangs for ever. */
const longestLoad = 86_400_000;

const databaseSchema = z.object({ service: z.string(), database: z.string() });
const version = z.object({ name: z.string(), version: z.string() });

/**
 * Steps of a restore (S1-63, S1-64). Until `replace-database`, `swap-database`, `restore-models` and `restore-config` nothing in use is touched;
 * each of them can be taken back, because what it replaces is kept until `finish-restore`.
 */
export function createRestoreSteps(deps: RestoreDeps) {
  return {
    stageRestore: stageRestore(deps),
    ...createCommandSteps(deps),

    adoptRecovery: defineStep({
      action: 'adopt-recovery',
      args: z.object({}),
      async apply(_, { operation }) {
        const staging = stagingOf(deps.directory, operation);
        await mkdir(staging, { recursive: true, mode: 0o700 });
        if (existsSync(deps.recovered)) await rename(deps.recovered, join(staging, 'snapshot'));
        return 'the snapshot is on this host, its hashes were compared';
      },
      async undo(_, { operation }) {
        const staged = join(stagingOf(deps.directory, operation), 'snapshot');
        if (existsSync(staged)) await rename(staged, deps.recovered);
      },
    }),

    endRecovery: defineStep({
      action: 'end-recovery',
      args: z.object({}),
      async apply() {
        await rm(join(deps.recovered, '..'), { recursive: true, force: true });
        await rm(deps.recoveryNote, { force: true });
        return 'this host is the appliance of the snapshot';
      },
    }),

    loadDatabase: defineStep({
      action: 'load-database',
      args: databaseSchema.extend({
        /** Dump, relative to the snapshot. */
        path: z.string(),
        /** The accounts of its server, relative to the snapshot; null when the snapshot has none. */
        roles: z.string().nullable().default(null),
        /** Rows that it must have; null when nobody has counted them. */
        rows: z.record(z.string(), z.number()).nullable(),
      }),
      async apply({ service, database, path, roles }, context) {
        const { signal, operation } = context;
        const server = await deps.server(service, signal);
        const { loaded } = namesBeside(database, operation);
        const staged = join(stagingOf(deps.directory, operation), 'snapshot');
        const made = roles === null ? [] : await loadRoles(server, await readFile(join(staged, roles), 'utf8'), signal);
        await loadDatabase(server, { database, loaded, dump: join(staged, path), timeout: longestLoad, signal });
        const accounts = made.length === 0 ? '' : `; accounts that were missing: ${made.join(', ')}`;
        return `${database} of the snapshot is loaded beside the one in use${accounts}`;
      },
      async verify({ service, database, rows }, context): Promise<Finding> {
        const server = await deps.server(service, context.signal);
        const { loaded } = namesBeside(database, context.operation);
        const seen = await countRows(server, loaded, context.signal);
        const wrong = rows === null ? [] : rowDifferences(rows, seen);
        const total = Object.values(seen).reduce((sum, count) => sum + count, 0);
        return {
          id: `rows-${service}-${database}`,
          verdict: wrong.length === 0 ? 'pass' : 'fail',
          observed:
            wrong.length === 0 ? `${total} rows in ${Object.keys(seen).length} tables` : wrong.slice(0, 10).join('; '),
          ...(wrong.length === 0 ? {} : { expected: 'the rows that were counted when the snapshot was made' }),
          samples: total,
        };
      },
      async undo({ service, database }, context) {
        const { loaded } = namesBeside(database, context.operation);
        await dropDatabase(await deps.server(service, context.signal), database, loaded, context.signal);
      },
    }),

    swapDatabase: defineStep({
      action: 'swap-database',
      args: databaseSchema.extend({
        /** Of the database in the snapshot, and of the one in use. */
        schema: schemaState,
        previous: schemaState,
      }),
      async apply({ service, database, schema }, context) {
        const server = await deps.server(service, context.signal);
        await swapDatabase(server, database, namesBeside(database, context.operation), context.signal);
        deps.setSchema(schema);
        return `${database} is the one of the snapshot; its clients connect again`;
      },
      async undo({ service, database, previous }, context) {
        const server = await deps.server(service, context.signal);
        await swapBack(server, database, namesBeside(database, context.operation), context.signal);
        deps.setSchema(previous);
      },
    }),

    restoreModels: defineStep({
      action: 'restore-models',
      args: z.object({
        versions: z.array(version),
        registry: z.boolean(),
        /** Files that belong to no version, and whether they are what is served. */
        loose: z.boolean(),
        served: z.boolean().default(false),
        /** What is to be in force; left out, the pointer stays. */
        to: version.extend({ sha256: z.string() }).nullable(),
        from: version.nullable(),
      }),
      async apply({ versions, registry, loose, served, to }, context) {
        const staging = modelStagingOf(deps.models, context.operation);
        for (const one of versions)
          await placing(join(deps.models, 'versions', one.name, one.version), () => placeVersion(staging, one));
        if (loose) await placeLoose(staging);
        if (registry)
          await placing(join(deps.models, 'registry.db'), () => deps.withoutRegistry(() => placeRegistry(staging)));
        if (to) await deps.pointer.write(to);
        const sha256 = to?.sha256 ?? (served ? await digestOf(join(deps.models, 'manifest.json')) : undefined);
        if (sha256 === undefined) return `models brought back: ${versions.length}`;
        const said = await deps.loadModel(sha256, context.signal, (text) => context.progress(text));
        return `models brought back: ${versions.length}; ${said}`;
      },
      async undo({ versions, registry, loose, to, from }, context) {
        const staging = modelStagingOf(deps.models, context.operation);
        for (const one of versions) await unplaceVersion(staging, one);
        if (loose) await unplaceLoose(staging);
        if (registry) deps.withoutRegistry(() => unplaceRegistry(staging));
        const now = to && (await deps.pointer.read());
        if (to && (now?.name !== from?.name || now?.version !== from?.version)) await deps.pointer.write(from);
      },
    }),

    restoreConfig: defineStep({
      action: 'restore-config',
      args: z.object({}),
      async apply(_, { operation }) {
        const directory = stagingOf(deps.directory, operation);
        const files = await configFiles(join(directory, 'snapshot'), deps.config);
        await placeConfig(files, join(directory, keptIn.config));
        return `${files.length} files of the configuration are as in the snapshot`;
      },
      async undo(_, { operation }) {
        const directory = stagingOf(deps.directory, operation);
        const files = await configFiles(join(directory, 'snapshot'), deps.config);
        await unplaceConfig(files, join(directory, keptIn.config));
      },
    }),

    finishRestore: defineStep({
      action: 'finish-restore',
      args: z.object({
        databases: z.array(databaseSchema),
        declared: z.array(z.string()).default([]),
        models: z.boolean().default(false),
        config: z.boolean().default(false),
      }),
      async apply({ databases, ...parts }, context) {
        for (const { service, database } of databases) {
          const server = await deps.server(service, context.signal);
          for (const which of await allBeside(server, database, context.signal))
            await dropDatabase(server, database, which, context.signal);
        }
        await clear(deps, context);
        await clearEarlier(deps, parts, context);
        return 'what was replaced is in the safety snapshot';
      },
    }),
  };
}

/** By this a running process says which model it has loaded; undefined where there is no manifest. */
async function digestOf(manifest: string): Promise<string | undefined> {
  const bytes = await readFile(manifest).catch(() => undefined);
  return bytes && createHash('sha256').update(bytes).digest('hex');
}
