import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { declaredDatabases } from '../../src/agent/restore-deps.ts';
import { declaredNotes, predictRestore } from '../../src/agent/restore-preview.ts';
import { lostRows } from '../../src/capabilities/backups/rows.ts';
import { configSchema } from '../../src/config/schema.ts';
import { allOn, type Colour } from '../../src/lib/colour.ts';
import { defineStep, type PlannedStep, type StepType } from '../../src/operations/step.ts';
import type { ColourFacts, Observed } from '../../src/recipes/facts.ts';
import {
  planRecovery,
  planRestore,
  type RestoreFacts,
  type RestoreSteps,
  type SnapshotDatabase,
} from '../../src/recipes/restore.ts';
import type { RollbackFacts } from '../../src/recipes/rollback.ts';
import { dataDowntimeSteps, planDataRollback } from '../../src/recipes/rollback-data.ts';
import type { Steps } from '../../src/recipes/steps.ts';

// Planners are pure, so their plans are compared as text (S1-63, S1-64, S1-65, S4-38).

/** A step type that only knows its name: nothing here is ever run. */
const named = <Args>(action: string): StepType<Args> =>
  defineStep({ action, args: z.custom<Args>(), apply: async () => 'not run' });

const restoreSteps: RestoreSteps & Pick<Steps, 'waitHealthy'> = {
  stageRestore: named('stage-restore'),
  loadDatabase: named('load-database'),
  swapDatabase: named('swap-database'),
  rehearseDatabase: named('rehearse-database'),
  keepDatabase: named('keep-database'),
  replaceDatabase: named('replace-database'),
  restoreModels: named('restore-models'),
  restoreConfig: named('restore-config'),
  adoptRecovery: named('adopt-recovery'),
  endRecovery: named('end-recovery'),
  finishRestore: named('finish-restore'),
  waitHealthy: named('wait-healthy'),
};

const steps = {
  ...restoreSteps,
  buildImages: named('build-images'),
  startCore: named('start-core'),
  removeColour: named('remove-colour'),
  removeColours: named('remove-colours'),
  startColour: named('start-colour'),
  stopColour: named('stop-colour'),
  configureEdge: named('configure-edge'),
  closeEdge: named('close-edge'),
  shiftTraffic: named('shift-traffic'),
  recordLive: named('record-live'),
  smoke: named('smoke'),
} as unknown as Steps & RestoreSteps;

const database = (name: string, about: Partial<SnapshotDatabase> = {}): SnapshotDatabase => ({
  service: 'postgres',
  database: name,
  path: `databases/postgres/${name}.dump`,
  sha256: `sha-${name}`,
  bytes: 50_000_000,
  rows: { 'public.orders': 3 },
  roles: { path: 'databases/postgres/roles.sql', sha256: 'sha-roles' },
  ...about,
});

const safety: PlannedStep = {
  action: 'collect-snapshot',
  title: 'snapshot of today',
  cause: 'what is replaced can be brought back',
  args: {},
  pivot: false,
  optional: false,
  deadline: 1_000,
};

const facts = (about: Partial<RestoreFacts> = {}): RestoreFacts => ({
  snapshot: { id: '20261121T020000Z-1f3c', resticId: 'abcd' },
  databases: [database('shop')],
  declared: [],
  schema: { version: 1, readableFrom: 1 },
  previous: { version: 3, readableFrom: 3 },
  models: null,
  config: false,
  live: { release: 'v2-id', tag: 'v2', colour: 'green' },
  healthTimeout: 60_000,
  safety: [safety],
  ...about,
});

const text = (plan: readonly PlannedStep[]) =>
  plan.map(
    ({ action, title, pivot, optional }) =>
      `${action}: ${title}${pivot ? ' [pivot]' : ''}${optional ? ' [optional]' : ''}`,
  );
const actions = (plan: readonly PlannedStep[]) => plan.map(({ action }) => action);
const argsOf = (plan: readonly PlannedStep[], action: string) => plan.find((step) => step.action === action)?.args;

describe('a restore', () => {
  it('of everything: safety first, all of it beside, one pivot, the proof, and only then the end of what was replaced', () => {
    const models: RestoreFacts['models'] = {
      versions: [{ name: 'routing', version: '2', sha256: 'm2', bytes: 10 }],
      loose: [],
      served: false,
      registry: 'sha-registry',
      to: { name: 'routing', version: '2', sha256: 'm2' },
      from: { name: 'routing', version: '3' },
      confirm: 30_000,
    };
    const plan = planRestore(facts({ databases: [database('shop'), database('log')], models, config: true }), steps);
    expect(text(plan)).toEqual([
      'collect-snapshot: snapshot of today',
      'stage-restore: stage 20261121T020000Z-1f3c and compare its hashes',
      'load-database: load shop beside the one in use and count its rows',
      'load-database: load log beside the one in use and count its rows',
      'swap-database: put shop of the snapshot in place [pivot]',
      'swap-database: put log of the snapshot in place',
      'restore-models: put 1 model and the registry in place',
      'restore-config: put the configuration in place',
      'wait-healthy: prove that v2 serves with what was restored',
      'finish-restore: remove what was replaced [optional]',
    ]);
    expect(argsOf(plan, 'stage-restore')).toMatchObject({
      paths: [
        'databases/postgres/shop.dump',
        'databases/postgres/roles.sql',
        'databases/postgres/log.dump',
        'config',
        'certificates',
      ],
      hashes: {
        'databases/postgres/shop.dump': 'sha-shop',
        'databases/postgres/log.dump': 'sha-log',
        'databases/postgres/roles.sql': 'sha-roles',
      },
      registry: 'sha-registry',
      bytes: 100_000_010,
    });
    expect(argsOf(plan, 'load-database')).toMatchObject({ roles: 'databases/postgres/roles.sql' });
    expect(argsOf(plan, 'swap-database')).toMatchObject({
      schema: { version: 1, readableFrom: 1 },
      previous: { version: 3, readableFrom: 3 },
    });
  });

  it('of the configuration alone has its pivot there', () => {
    expect(text(planRestore(facts({ databases: [], config: true }), steps))).toContain(
      'restore-config: put the configuration in place [pivot]',
    );
  });

  it('proves nothing where nothing is live, and needs no safety snapshot where a person does without', () => {
    expect(actions(planRestore(facts({ live: null, safety: [] }), steps))).toEqual([
      'stage-restore',
      'load-database',
      'swap-database',
      'finish-restore',
    ]);
  });

  it('gives large data the time that a slow disk takes, and never more than two weeks', () => {
    const deadline = (bytes: number) =>
      planRestore(facts({ databases: [database('shop', { bytes })] }), steps)[1]?.deadline;
    expect(deadline(0)).toBe(600_000);
    expect(deadline(3_600_000_000)).toBe(600_000 + 3_600_000);
    expect(deadline(1e15)).toBe(14 * 86_400_000);
  });
});

const topology = (colour: Colour, release: string) => ({ colour, release, addresses: { web: ['10.213.0.10'] } });
const empty: ColourFacts = { release: null, occupied: false, running: false, topology: null };
const standing = (colour: Colour, tag: string): ColourFacts => ({
  release: `${tag}-id`,
  occupied: true,
  running: true,
  topology: topology(colour, tag),
});
const v2Live = (blue: ColourFacts): Observed => ({
  at: 10,
  live: { release: 'v2-id', tag: 'v2', colour: 'green', since: 5 },
  colours: { blue, green: standing('green', 'v2') },
  weights: allOn('green'),
});
const rollback = (observed: Observed, imagesPresent = true): RollbackFacts => ({
  release: { id: 'v1-id', tag: 'v1', schema: { version: 1, readableFrom: 1 }, migrates: true, imagesPresent },
  observed,
  topologies: { blue: topology('blue', 'v1'), green: topology('green', 'v1') },
  actor: 'root',
  config: configSchema.parse({
    name: 'shop',
    source: { repository: '/srv/shop' },
    services: { web: { role: 'app' } },
    routes: [{ path: '/', service: 'web', port: 80 }],
  }),
});

describe('a rollback with its data (S1-65)', () => {
  it('does everything slow while users are served, and lets nobody write from the maintenance page to the old release', () => {
    const plan = planDataRollback({ rollback: rollback(v2Live(empty), false), restore: facts() }, steps);
    expect(text(plan)).toEqual([
      'collect-snapshot: snapshot of today',
      'stage-restore: stage 20261121T020000Z-1f3c and compare its hashes',
      'load-database: load shop beside the one in use and count its rows',
      'build-images: build the images of v1',
      'start-core: make sure that the core runs',
      'close-edge: give every request the maintenance page',
      'stop-colour: stop green (v2)',
      'swap-database: put shop of the snapshot in place [pivot]',
      'start-colour: start blue with v1',
      'wait-healthy: prove that blue is healthy and runs v1',
      'configure-edge: tell the edge where blue listens',
      'shift-traffic: shift traffic to blue (v1) [pivot]',
      'record-live: record v1 as live',
      'finish-restore: remove what was replaced [optional]',
    ]);
    expect(argsOf(plan, 'close-edge')).toEqual({ back: { blue: null, green: topology('green', 'v2') } });
    // The stopped colour gets no request before the traffic has shifted.
    expect(argsOf(plan, 'configure-edge')).toEqual({ topologies: { blue: topology('blue', 'v1'), green: null } });
  });

  it('to a warm release starts nothing', () => {
    const plan = planDataRollback({ rollback: rollback(v2Live(standing('blue', 'v1'))), restore: facts() }, steps);
    for (const action of ['build-images', 'start-core', 'start-colour']) expect(actions(plan)).not.toContain(action);
  });

  it('predicts the downtime from the maintenance page to the shift, and not what comes before', () => {
    const plan = planDataRollback({ rollback: rollback(v2Live(empty)), restore: facts() }, steps);
    const usual = (action: string) =>
      ({ 'close-edge': 1_000, 'load-database': 600_000, 'start-colour': 4_000 })[action] ?? null;
    const { predictedSeconds, predictedDowntimeSeconds } = predictRestore(usual, plan, facts(), dataDowntimeSteps);
    // 1 s to close, 1 s for an exchange that was never measured, 4 s to start.
    expect(predictedDowntimeSeconds).toBe(6);
    expect(predictedSeconds).toBeGreaterThan(606);
  });
});

describe('a recovery on a bare host (S4-38)', () => {
  const up: PlannedStep[] = [
    { ...safety, action: 'build-images', title: 'build the images of v2' },
    { ...safety, action: 'start-core', title: 'make sure that the core runs' },
    { ...safety, action: 'start-colour', title: 'start green with v2' },
    { ...safety, action: 'shift-traffic', title: 'shift traffic to green (v2)' },
  ];

  it('loads the databases between the core and the release', () => {
    expect(actions(planRecovery(facts(), up, steps))).toEqual([
      'build-images',
      'start-core',
      'adopt-recovery',
      'load-database',
      'swap-database',
      'start-colour',
      'shift-traffic',
      'finish-restore',
      'end-recovery',
    ]);
  });

  it('of a snapshot from before the first deploy has files alone', () => {
    expect(actions(planRecovery(facts({ databases: [] }), [], steps))).toEqual([
      'adopt-recovery',
      'finish-restore',
      'end-recovery',
    ]);
  });
});

describe('databases with commands of their own', () => {
  const mongo = { service: 'mongo', path: 'databases/mongo/dump', sha256: 'sha-mongo', bytes: 7, rows: { carts: 2 } };
  const both = facts({ declared: [mongo] });

  it('are tried elsewhere, kept, and replaced before anything that is faster is exchanged', () => {
    const plan = planRestore(both, steps);
    expect(text(plan)).toEqual([
      'collect-snapshot: snapshot of today',
      'stage-restore: stage 20261121T020000Z-1f3c and compare its hashes',
      'load-database: load shop beside the one in use and count its rows',
      'rehearse-database: try the dump of mongo in a server of its own',
      'keep-database: dump what mongo holds now',
      'replace-database: load the dump into mongo by its restore command [pivot]',
      'swap-database: put shop of the snapshot in place',
      'wait-healthy: prove that v2 serves with what was restored',
      'finish-restore: remove what was replaced [optional]',
    ]);
    expect(argsOf(plan, 'stage-restore')).toMatchObject({
      hashes: { 'databases/mongo/dump': 'sha-mongo' },
      // The dump of the snapshot, and the one of today.
      bytes: 50_000_014,
    });
    expect(argsOf(plan, 'keep-database')).toEqual({ service: 'mongo', required: true });
    expect(argsOf(plan, 'replace-database')).toMatchObject({
      rows: { carts: 2 },
      fresh: false,
      schema: { version: 1 },
    });
  });

  it('are replaced although they cannot be kept, where a person does without safety', () => {
    const plan = planRestore(facts({ declared: [mongo], safety: [] }), steps);
    expect(argsOf(plan, 'keep-database')).toEqual({ service: 'mongo', required: false });
  });

  it('are dumped in a rollback when nobody writes any more', () => {
    const plan = actions(
      planDataRollback({ rollback: rollback(v2Live(standing('blue', 'v1'))), restore: both }, steps),
    );
    const order = ['close-edge', 'stop-colour', 'keep-database', 'replace-database', 'swap-database', 'shift-traffic'];
    expect(plan.filter((action) => order.includes(action))).toEqual(order);
    expect(dataDowntimeSteps).toEqual(expect.arrayContaining(order));
  });

  it('are loaded into the new server of a bare host', () => {
    const plan = planRecovery(
      both,
      [
        { ...safety, action: 'start-core' },
        { ...safety, action: 'start-colour' },
      ],
      steps,
    );
    expect(actions(plan)).toEqual([
      ...['start-core', 'adopt-recovery', 'load-database', 'swap-database', 'replace-database', 'start-colour'],
      ...['finish-restore', 'end-recovery'],
    ]);
    expect(argsOf(plan, 'replace-database')).toMatchObject({ fresh: true });
  });

  it('have a downtime in the plan, and a note that says why', () => {
    const usual = (action: string) => (action === 'replace-database' ? 9_000 : 0);
    expect(predictRestore(usual, planRestore(both, steps), both).predictedDowntimeSeconds).toBe(9);
    expect(declaredNotes(both)).toEqual([expect.stringContaining('mongo is loaded by its own restore command')]);
  });

  it('are found in a snapshot by their names', () => {
    const components = ['database:postgres/shop', 'database:mongo', 'models'].map((name) => ({
      ...{ name, path: `databases/${name}`, bytes: 1, sha256: 'a' },
    }));
    expect(declaredDatabases({ components })).toEqual([
      { service: 'mongo', path: 'databases/database:mongo', sha256: 'a', bytes: 1, rows: null },
    ]);
  });
});

describe('rows after a database was replaced in its place', () => {
  it('may be more than recorded, for applications go on writing, and never fewer', () => {
    expect(lostRows({ carts: 2, users: 1 }, { carts: 5, users: 1, sessions: 3 })).toEqual([]);
    expect(lostRows({ carts: 2, users: 1 }, { carts: 1 })).toEqual([
      'carts: 1 row (expected 2 rows)',
      'users: not there (expected 1 row)',
    ]);
    expect(lostRows({ empty: 0 }, {})).toEqual(['empty: not there (expected 0 rows)']);
  });
});
