import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { configSchema } from '../../src/config/schema.ts';
import { allOn, type Colour } from '../../src/lib/colour.ts';
import { defineStep, type PlannedStep, type StepType } from '../../src/operations/step.ts';
import { holdTime, type RolloutPolicy } from '../../src/recipes/canary.ts';
import { type DeployFacts, planDeploy, planResolve } from '../../src/recipes/deploy.ts';
import type { ColourFacts, Observed, ReleaseFacts } from '../../src/recipes/facts.ts';
import { planRollback, rollbackPath } from '../../src/recipes/rollback.ts';
import { planDown, planRestart, planUp } from '../../src/recipes/stack.ts';
import type { Steps } from '../../src/recipes/steps.ts';

// Planners are pure, so their plans are compared as text.

/** A step type that only knows its name: nothing here is ever run. */
const named = <Args>(action: string): StepType<Args> =>
  defineStep({ action, args: z.custom<Args>(), apply: async () => 'not run' });

const steps: Steps = {
  checkHost: named('check-host'),
  smoke: named('smoke'),
  resolveRelease: named('resolve-release'),
  requireApprovals: named('require-approvals'),
  buildImages: named('build-images'),
  startCore: named('start-core'),
  adoptCore: named('adopt-core'),
  migrate: named('migrate'),
  leaveWayBack: named('leave-way-back'),
  recordSchema: named('record-schema'),
  forgetSchema: named('forget-schema'),
  closeEdge: named('close-edge'),
  startColour: named('start-colour'),
  waitHealthy: named('wait-healthy'),
  configureEdge: named('configure-edge'),
  shiftTraffic: named('shift-traffic'),
  beginRollout: named('begin-rollout'),
  holdStage: named('hold-stage'),
  shadowTraffic: named('shadow-traffic'),
  recordLive: named('record-live'),
  bake: named('bake'),
  stopColour: named('stop-colour'),
  removeColour: named('remove-colour'),
  removeColours: named('remove-colours'),
  restartService: named('restart-service'),
  stopService: named('stop-service'),
  startService: named('start-service'),
  checkAlerting: named('check-alerting'),
  awaitReceipt: named('await-receipt'),
  removeCore: named('remove-core'),
  retain: named('retain'),
};

const config = (deploy: object = {}) =>
  configSchema.parse({
    name: 'shop',
    source: { repository: '/srv/shop' },
    services: { web: { role: 'app' } },
    routes: [{ path: '/', service: 'web', port: 80 }],
    deploy,
  });

const topology = (colour: Colour, release: string) => ({ colour, release, addresses: { web: ['10.213.0.10'] } });
const empty: ColourFacts = { release: null, occupied: false, running: false, topology: null };
const standing = (colour: Colour, tag: string, running = true): ColourFacts => ({
  release: `${tag}-id`,
  occupied: true,
  running,
  topology: topology(colour, tag),
});

const release = (tag: string, about: Partial<ReleaseFacts> = {}): ReleaseFacts => ({
  id: `${tag}-id`,
  tag,
  schema: { version: 2, readableFrom: 1 },
  migrates: true,
  imagesPresent: true,
  ...about,
});

const nothing: Observed = { at: 10, live: null, colours: { blue: empty, green: empty }, weights: null };
/** v1 is live on blue; `green` says what stands there. */
const v1Live = (green: ColourFacts = empty): Observed => ({
  at: 10,
  live: { release: 'v1-id', tag: 'v1', colour: 'blue', since: 5 },
  colours: { blue: standing('blue', 'v1'), green },
  weights: allOn('blue'),
});

const facts = (wanted: ReleaseFacts, observed: Observed, about: Partial<DeployFacts> = {}): DeployFacts => ({
  release: wanted,
  observed,
  schemaToday: 2,
  liveLosesDatabase: null,
  backup: [],
  approvals: [],
  topologies: { blue: topology('blue', wanted.tag), green: topology('green', wanted.tag) },
  strategy: 'blue-green',
  policy: null,
  actor: 'root',
  config: config(),
  ...about,
});

const text = (plan: readonly PlannedStep[]) =>
  plan.map(
    ({ action, title, pivot, optional }) =>
      `${action}: ${title}${pivot ? ' [pivot]' : ''}${optional ? ' [optional]' : ''}`,
  );
const argsOf = (plan: readonly PlannedStep[], action: string) => plan.find((step) => step.action === action)?.args;

describe('deploy', () => {
  it('looks at the host and resolves the tag first', () => {
    expect(text(planResolve({ tag: 'v1', acceptMovedTag: false }, steps))).toEqual([
      'check-host: check the host and the configuration',
      'resolve-release: resolve release v1',
    ]);
  });

  it('lets people decide before anything is built (S4-23)', () => {
    const approvals = [{ id: 'S4-23', role: 'security', title: 'security' }];
    const plan = planDeploy(facts(release('v2', { imagesPresent: false }), v1Live(), { approvals }), steps);
    expect(text(plan).slice(0, 2)).toEqual([
      'require-approvals: see that people have approved v2',
      'build-images: build the images of v2',
    ]);
    expect(argsOf(plan, 'require-approvals')).toEqual({ release: 'v2-id', tag: 'v2', roles: approvals });
    expect(planDeploy(facts(release('v1'), v1Live(), { approvals }), steps)).toEqual([]);
  });

  it('the first one: builds, starts the core, migrates, then blue', () => {
    expect(
      text(planDeploy(facts(release('v1', { imagesPresent: false }), nothing, { schemaToday: null }), steps)),
    ).toEqual([
      'build-images: build the images of v1',
      'start-core: make sure that the core runs',
      'migrate: migrate the database with v1',
      'record-schema: record schema 2',
      'start-colour: start blue with v1',
      'wait-healthy: prove that blue is healthy and runs v1',
      'configure-edge: tell the edge where blue listens',
      'shift-traffic: shift traffic to blue (v1) [pivot]',
      'record-live: record v1 as live',
      'retain: remove images that no release needs [optional]',
    ]);
  });

  it('the next one goes to green and touches blue in no way', () => {
    const plan = planDeploy(facts(release('v2'), v1Live()), steps);
    expect(text(plan)).toEqual([
      'start-core: make sure that the core runs',
      'start-colour: start green with v2',
      'wait-healthy: prove that green is healthy and runs v2',
      'configure-edge: tell the edge where green listens',
      'shift-traffic: shift traffic to green (v2) [pivot]',
      'record-live: record v2 as live',
      'retain: remove images that no release needs [optional]',
    ]);
    expect(argsOf(plan, 'shift-traffic')).toEqual({ from: allOn('blue'), to: allOn('green'), release: 'v2' });
    expect(argsOf(plan, 'configure-edge')).toEqual({
      topologies: { blue: topology('blue', 'v1'), green: topology('green', 'v2') },
    });
    expect(argsOf(plan, 'record-live')).toMatchObject({ previous: { release: 'v1-id', colour: 'blue', since: 5 } });
  });

  it('proves the shift by a path that the new release answers', () => {
    const on = (colour: Colour) => ({ ...topology(colour, 'v2'), routes: [], proofPath: '/new/health' });
    const plan = planDeploy(
      facts(release('v2'), v1Live(), { topologies: { blue: on('blue'), green: on('green') } }),
      steps,
    );
    expect(argsOf(plan, 'shift-traffic')).toMatchObject({ path: '/new/health' });
  });

  it('builds before it clears what stands on the idle colour', () => {
    const actions = planDeploy(
      facts(release('v2', { imagesPresent: false }), v1Live(standing('green', 'v0'))),
      steps,
    ).map(({ action }) => action);
    expect(actions.slice(0, 4)).toEqual(['build-images', 'start-core', 'remove-colour', 'start-colour']);
  });

  it('waits for the drain only where requests may be in flight, and says which warm release makes room', () => {
    const clearing = (observed: Observed) =>
      argsOf(planDeploy(facts(release('v2'), observed, { config: config({ drain: '30s' }) }), steps), 'remove-colour');
    const warm = v1Live(standing('green', 'v0'));
    const about = { colour: 'green', graceSeconds: 30 };
    expect(clearing(warm)).toEqual({ ...about, idle: false, warm: 'v0' });
    expect(clearing({ ...warm, at: 30_005 })).toEqual({ ...about, idle: true, warm: 'v0' });
    const shifted = { ...warm, at: 30_005, weights: { blue: 90, green: 10 } };
    expect(clearing(shifted)).toMatchObject({ idle: false });
    const broken = { ...v1Live(standing('green', 'v0', false)), at: 30_005 };
    expect(clearing(broken)).toEqual({ ...about, idle: true, warm: null });
  });

  it('does nothing when the release is live and runs; starts it again when it does not', () => {
    expect(planDeploy(facts(release('v1'), v1Live()), steps)).toEqual([]);
    const broken: Observed = { ...v1Live(), colours: { blue: standing('blue', 'v1', false), green: empty } };
    expect(planDeploy(facts(release('v1'), broken), steps).map(({ action }) => action)).toContain('start-colour');
  });

  it.each([
    ['the database has that schema already', release('v2'), 2, false],
    ['the database is ahead', release('v2'), 3, false],
    ['the release is ahead', release('v2', { schema: { version: 3, readableFrom: 1 } }), 2, true],
    ['the release does not say', release('v2', { schema: null }), 2, true],
    ['there is no migration', release('v2', { migrates: false, schema: { version: 3, readableFrom: 1 } }), 2, false],
  ])('migrates only when it must: %s', (_, wanted, schemaToday, expected) => {
    const actions = planDeploy(facts(wanted, v1Live(), { schemaToday }), steps).map(({ action }) => action);
    expect(actions.includes('migrate')).toBe(expected);
  });

  it('recreate stops the live colour before the migration, and keeps it to go back to', () => {
    const wanted = release('v2', { schema: { version: 3, readableFrom: 3 } });
    const plan = planDeploy(
      facts(wanted, v1Live(), { strategy: 'recreate', liveLosesDatabase: { liveTag: 'v1', liveVersion: 2 } }),
      steps,
    );
    expect(plan.map(({ action }) => action)).toEqual([
      'start-core',
      'stop-colour',
      'leave-way-back',
      'migrate',
      'record-schema',
      'start-colour',
      'wait-healthy',
      'configure-edge',
      'shift-traffic',
      'record-live',
      'retain',
    ]);
  });

  it('bakes and retires as the policy says', () => {
    const policy = { config: config({ bake: '10s', retire: 'remove', drain: '45s' }) };
    const plan = planDeploy(facts(release('v2'), v1Live(), policy), steps);
    expect(plan.slice(-3).map(({ action }) => action)).toEqual(['bake', 'remove-colour', 'retain']);
    expect(argsOf(plan, 'remove-colour')).toEqual({
      colour: 'blue',
      graceSeconds: 45,
      idle: false,
      warm: null,
    });
    expect(plan.find(({ action }) => action === 'bake')?.deadline).toBe(70_000);
  });

  it('has exactly one pivot, and everything that can fail for good before it', () => {
    const plan = planDeploy(facts(release('v2', { imagesPresent: false }), v1Live(standing('green', 'v0'))), steps);
    const pivot = plan.findIndex((step) => step.pivot);
    expect(plan.filter((step) => step.pivot)).toHaveLength(1);
    for (const action of ['build-images', 'start-colour', 'wait-healthy', 'configure-edge'])
      expect(plan.findIndex((step) => step.action === action)).toBeLessThan(pivot);
  });
});

describe('deploy by a policy', () => {
  const stage = { for: 60_000, every: 5_000, minRequests: 0, patience: 60_000, ids: [] };
  const policy: RolloutPolicy = {
    name: 'steady',
    rules: 'name: steady',
    stages: [
      { ...stage, weight: 10, ids: ['S2-8'] },
      { ...stage, weight: 100 },
    ],
    bake: { ...stage, for: 1_800_000, ids: ['S0-34', 'S0-36'] },
    verifyRollback: { attempts: 30, every: 2_000 },
    drain: 300_000,
  };
  const planned = (observed: Observed, about: Partial<DeployFacts> = {}) =>
    planDeploy(facts(release('v2'), observed, { policy, ...about }), steps);

  it('raises the share in stages, each watched, and then watches all of it', () => {
    const plan = planned(v1Live(), { config: config({ retire: 'stop', bake: '10s' }) });
    expect(text(plan)).toEqual([
      'start-core: make sure that the core runs',
      'start-colour: start green with v2',
      'wait-healthy: prove that green is healthy and runs v2',
      'configure-edge: tell the edge where green listens',
      'begin-rollout: hold v1 ready, policy steady',
      'shift-traffic: give 10 % to green (v2) [pivot]',
      'hold-stage: hold 10 % for 1 min (S2-8)',
      'shift-traffic: give 100 % to green (v2) [pivot]',
      'record-live: record v2 as live',
      'hold-stage: hold 100 % for 1 min',
      'hold-stage: watch green for 30 min (S0-34, S0-36)',
      'stop-colour: stop blue (v1) [optional]',
      'retain: remove images that no release needs [optional]',
    ]);
    expect(plan.filter(({ action }) => action === 'shift-traffic').map(({ args }) => args)).toEqual([
      { from: allOn('blue'), to: { blue: 90, green: 10 }, release: 'v2', back: allOn('blue') },
      { from: { blue: 90, green: 10 }, to: allOn('green'), release: 'v2', back: allOn('blue') },
    ]);
    expect(argsOf(plan, 'stop-colour')).toEqual({ colour: 'blue', graceSeconds: 300 });
    expect(argsOf(plan, 'start-colour')).toEqual({ release: 'v2-id', colour: 'green', graceSeconds: 300 });
    expect(plan.map(holdTime).filter((time) => time !== null)).toEqual([60_000, 60_000, 1_800_000]);
  });

  it('copies requests before the first share, where the policy says so; a crash from there on is finished', () => {
    const shadow = { share: 10, for: 600_000, every: 5_000, ids: [] };
    const plan = planned(v1Live(), { policy: { ...policy, shadow } });
    expect(text(plan).slice(4, 8)).toEqual([
      'begin-rollout: hold v1 ready, policy steady',
      'shadow-traffic: copy 10 % of the requests to green for 10 min [pivot]',
      'shift-traffic: give 10 % to green (v2) [pivot]',
      'hold-stage: hold 10 % for 1 min (S2-8)',
    ]);
    expect(argsOf(plan, 'shadow-traffic')).toEqual({
      position: 0,
      candidate: { release: 'v2-id', tag: 'v2', colour: 'green' },
      baseline: { release: 'v1-id', tag: 'v1', colour: 'blue' },
      topology: facts(release('v2'), v1Live()).topologies.green,
      share: 10,
      duration: 600_000,
      every: 5_000,
    });
    const positions = plan.filter(({ action }) => action === 'hold-stage').map(({ args }) => args);
    expect(positions).toMatchObject([{ position: 1 }, { position: 2 }, { position: 3 }]);
    expect(plan.map(holdTime)).toContain(600_000);
  });

  it('counts only stages that are held: a last one without a time is none that anybody could see or pass', () => {
    const last = { ...stage, for: 0, weight: 100 };
    const plan = planned(v1Live(), { policy: { ...policy, stages: [{ ...stage, weight: 10 }, last] } });
    const held = plan.filter(({ action }) => action === 'hold-stage').map(({ args }) => args);
    expect(held).toMatchObject([
      { position: 0, kind: 'stage', weight: 10 },
      { position: 1, kind: 'bake', weight: 100 },
    ]);
  });

  it('without stages gives all traffic at once and watches it', () => {
    expect(text(planned(v1Live(), { policy: { ...policy, stages: [] } })).slice(4, 8)).toEqual([
      'begin-rollout: hold v1 ready, policy steady',
      'shift-traffic: give 100 % to green (v2) [pivot]',
      'record-live: record v2 as live',
      'hold-stage: watch green for 30 min (S0-34, S0-36)',
    ]);
  });

  it.each([
    ['nothing is live', nothing, {}],
    [
      'the live release does not run',
      { ...v1Live(), colours: { blue: standing('blue', 'v1', false), green: empty } },
      {},
    ],
    ['the live release is stopped first', v1Live(), { strategy: 'recreate' as const }],
  ])('is a plain one when %s', (_, observed, about) => {
    const plan = planned(observed, about);
    expect(plan.filter(({ action }) => /rollout|hold/.test(action))).toEqual([]);
    expect(plan.filter(({ action }) => action === 'shift-traffic')).toHaveLength(1);
  });
});

describe('rollback', () => {
  const roll = (wanted: ReleaseFacts, observed: Observed) =>
    planRollback(facts(wanted, observed), steps).map(({ action }) => action);

  it('warm: only the traffic moves', () => {
    expect(roll(release('v0'), v1Live(standing('green', 'v0')))).toEqual([
      'wait-healthy',
      'configure-edge',
      'shift-traffic',
      'record-live',
    ]);
  });
  it('cold: starts the idle colour first', () => {
    expect(roll(release('v0'), v1Live())).toEqual([
      'start-core',
      'start-colour',
      'wait-healthy',
      'configure-edge',
      'shift-traffic',
      'record-live',
    ]);
  });
  it('cold, with another release in the way', () => {
    expect(roll(release('v0'), v1Live(standing('green', 'v-1')))).toEqual([
      'start-core',
      'remove-colour',
      'start-colour',
      'wait-healthy',
      'configure-edge',
      'shift-traffic',
      'record-live',
    ]);
  });
  it('rebuilds when the images are gone', () => {
    expect(roll(release('v0', { imagesPresent: false }), v1Live())[0]).toBe('build-images');
  });
  it('never migrates', () => {
    expect(roll(release('v0', { schema: { version: 9, readableFrom: 1 } }), v1Live())).not.toContain('migrate');
  });
  it('a colour of which a part has stopped is not warm', () => {
    expect(rollbackPath({ release: release('v0'), observed: v1Live(standing('green', 'v0', false)) })).toBe('cold');
  });
  it('to what is live already does nothing', () => {
    expect(roll(release('v1'), v1Live())).toEqual([]);
  });
});

describe('up, down and restart', () => {
  it('up before the first deploy starts the core alone', () => {
    const plan = planUp(
      {
        release: null,
        observed: nothing,
        topologies: null,
        schemaToday: null,
        replaceCore: false,
        actor: 'root',
        config: config(),
      },
      steps,
    );
    expect(plan.map(({ action }) => action)).toEqual(['start-core']);
  });
  it('up makes the machine what the records say', () => {
    const observed: Observed = { ...v1Live(), weights: null };
    const plan = planUp(
      {
        release: release('v1'),
        observed,
        topologies: { blue: topology('blue', 'v1'), green: topology('green', 'v1') },
        schemaToday: 2,
        replaceCore: true,
        actor: 'root',
        config: config(),
      },
      steps,
    );
    expect(plan.map(({ action }) => action)).toEqual([
      'adopt-core',
      'start-core',
      'start-colour',
      'wait-healthy',
      'configure-edge',
      'shift-traffic',
      'record-live',
    ]);
    expect(argsOf(plan, 'shift-traffic')).toEqual({ from: allOn('blue'), to: allOn('blue'), release: 'v1' });
  });
  it('up migrates a database of which nothing is known, as after down --volumes, before the release starts', () => {
    const down: Observed = { ...v1Live(), colours: { blue: empty, green: empty } };
    const about = {
      release: release('v1'),
      topologies: { blue: topology('blue', 'v1'), green: topology('green', 'v1') },
      schemaToday: null,
      replaceCore: false,
      actor: 'root',
      config: config(),
    };
    const actions = planUp({ ...about, observed: down }, steps).map(({ action }) => action);
    expect(actions.slice(0, 4)).toEqual(['start-core', 'migrate', 'record-schema', 'start-colour']);
    const running = planUp({ ...about, observed: v1Live() }, steps).map(({ action }) => action);
    expect(running).not.toContain('migrate');
  });
  it('down with its data forgets which schema they had', () => {
    const plan = planDown({ observed: nothing, volumes: true, config: config() }, steps);
    expect(plan.map(({ action }) => action)).toEqual(['forget-schema', 'remove-core']);
  });
  it('down stops what stands and leaves data alone unless told', () => {
    const plan = planDown({ observed: v1Live(standing('green', 'v0')), volumes: false, config: config() }, steps);
    expect(text(plan)).toEqual(['remove-colours: stop blue and green', 'remove-core: stop the core']);
    expect(argsOf(plan, 'remove-core')).toEqual({ volumes: false });
    const late = { ...v1Live(standing('green', 'v0')), at: 60_000 };
    expect(
      argsOf(planDown({ observed: late, volumes: false, config: config({ drain: '30s' }) }, steps), 'remove-colours'),
    ).toEqual({
      removals: [
        { colour: 'blue', graceSeconds: 30, idle: false },
        { colour: 'green', graceSeconds: 30, idle: true },
      ],
    });
  });
  it('restart goes one service at a time', () => {
    expect(text(planRestart({ services: ['api', 'web'], config: config() }, steps))).toEqual([
      'restart-service: restart api',
      'restart-service: restart web',
    ]);
  });
});
