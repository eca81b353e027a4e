import { join } from 'node:path';
import { afterMigration } from '../capabilities/releases/schema-gate.ts';
import type { ReleaseStore } from '../capabilities/releases/store.ts';
import type { CoreStore } from '../capabilities/stack/core-store.ts';
import { bundledImage, imageKey, type StackDeps } from '../capabilities/stack/index.ts';
import type { createTraffic } from '../capabilities/traffic/index.ts';
import type { Config } from '../config/schema.ts';
import { composeHands } from '../host/compose.ts';
import type { Engine } from '../host/docker.ts';
import { describeDrain } from '../lib/drain.ts';
import type { Paths } from '../lib/paths.ts';
import type { Reports } from '../operations/reports.ts';
import type { Alerting } from './alerting.ts';
import type { Monitoring } from './monitoring.ts';

export interface StackParts {
  readonly config: Config;
  readonly paths: Paths;
  readonly engine: Engine;
  readonly store: ReleaseStore;
  readonly core: CoreStore;
  readonly alerting: Alerting;
  readonly monitoring: Monitoring;
  readonly traffic: ReturnType<typeof createTraffic>;
  readonly reports: Reports;
  readonly release: StackDeps['release'];
}

/** What the steps that start and stop containers need of everybody else. */
export function stackDepsOf({
  config,
  paths,
  engine,
  store,
  core,
  alerting,
  monitoring,
  traffic,
  reports,
  release,
}: StackParts): StackDeps {
  return {
    name: config.name,
    compose: composeHands,
    engine,
    modelDirectory: join(paths.lib, 'compose'),
    timeouts: {
      build: config.deploy.buildTimeout,
      migrate: config.deploy.migrateTimeout,
      core: 120_000,
      health: config.deploy.healthTimeout,
    },
    release,
    bundled: ({ id, tag, project }, plan) => {
      const { commit } = store.get(id);
      return bundledImage(config.name, imageKey({ tag, commit, directory: store.files(id).directory, project }, plan));
    },
    migrated: ({ project: { schema } }) => {
      if (schema) store.setDatabaseSchema(afterMigration(store.databaseSchema(), schema));
    },
    sealImages: (id, images) => store.sealImages(id, images),
    core: async (id) => {
      await core.adopt(id, false);
      await alerting.prepare();
      await monitoring.sync();
      return core.planned();
    },
    subnets: () => core.subnets(),
    drain: async (wish, context) => {
      const report = await traffic.drain(wish, context);
      reports.keep(context.operation, 'drain', report.colour, report);
      const said = describeDrain(report);
      context.progress(said);
      return said;
    },
    live: () => store.live(),
  };
}
