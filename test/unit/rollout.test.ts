import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { beginRollout } from '../../src/capabilities/traffic/begin-rollout.ts';
import { holdStage, type Question } from '../../src/capabilities/traffic/hold-stage.ts';
import type { Assessment } from '../../src/capabilities/traffic/rollout-decision.ts';
import { RolloutStore, rolloutMigrations } from '../../src/capabilities/traffic/rollout-store.ts';
import { configSchema } from '../../src/config/schema.ts';
import { type Database, openDatabase } from '../../src/host/sqlite.ts';
import { allOn, type Weights } from '../../src/lib/colour.ts';
import type { Finding } from '../../src/lib/verdict.ts';
import { Journal, journalMigrations } from '../../src/operations/journal.ts';
import { recover } from '../../src/operations/recovery.ts';
import { Runner, Suspension } from '../../src/operations/runner.ts';
import { defineStep, type StepType } from '../../src/operations/step.ts';
import { canarySteps, type RolloutPolicy } from '../../src/recipes/canary.ts';
import type { Steps } from '../../src/recipes/steps.ts';
import { FastClock } from '../support/fast-clock.ts';

// The steps of a rollout, run by the real runner on the real journal, against a clock that does not wait.

const minute = 60_000;
const hour = 60 * minute;
const actor = { uid: 0, user: 'root', ssh: null };
const stage = (weight: number, duration: number, ...ids: string[]) => ({
  weight,
  for: duration,
  every: minute,
  minRequests: 0,
  patience: hour,
  ids,
});
/** The stages of the fourth document (S4-7 to S4-10). */
const mlops: RolloutPolicy = {
  name: 'mlops',
  rules: 'name: mlops',
  stages: [
    stage(5, 2 * hour, 'S4-7'),
    stage(25, 6 * hour, 'S4-8'),
    stage(50, 12 * hour, 'S4-9'),
    stage(100, 0, 'S4-10'),
  ],
  bake: { for: 30 * minute, every: minute, minRequests: 0, patience: hour, ids: [] },
  verifyRollback: { attempts: 30, every: 2_000 },
  drain: null,
};
const good: Finding = { id: 'errors', verdict: 'pass', observed: '0 %' };
const bad: Finding = { id: 'S4-11', verdict: 'fail', observed: 'errors 4.2 %', expected: 'at most 0.1 %' };
const scarce: Finding = {
  id: 'errors',
  verdict: 'inconclusive',
  observed: '3 requests',
  needed: 296,
  hint: 'needs 296 more',
};
const passing: Assessment = { gates: [good], rollback: [], investigate: [] };

describe('a rollout', () => {
  let database: Database;
  let journal: Journal;
  let store: RolloutStore;
  let clock: FastClock;
  let weights: Weights;
  let shares: number[];
  let assess: (question: Question) => Assessment;
  let healthy: (tag: string) => Finding['verdict'];
  let runner: Runner;
  /** What was wanted of declared requests, as `answers@hour`. */
  let loads: string[];

  beforeEach(() => {
    database = openDatabase(':memory:', [journalMigrations, rolloutMigrations]);
    journal = new Journal(database);
    store = new RolloutStore(database);
    clock = new FastClock();
    weights = allOn('blue');
    shares = [];
    loads = [];
    assess = () => passing;
    healthy = () => 'pass';
    runner = newRunner();
    journal.begin({ id: 'op', kind: 'deploy', target: 'v2', origin: 'v1', input: {}, actor }, clock.now());
  });
  afterEach(() => database.close());

  /** A writer: what a killed agent leaves to the next one is in the database alone. */
  function newRunner(): Runner {
    return new Runner({
      journal,
      clock,
      steps: new Map(Object.values(steps()).map((step) => [step.action, step])),
      onEvent: () => {},
    });
  }

  function steps() {
    const deps = {
      store,
      assess: async (question: Question) => assess(question),
      healthy: async ({ tag }: { tag: string }): Promise<Finding> => ({
        id: 'healthy',
        verdict: healthy(tag),
        observed: `${tag} answers`,
      }),
      load: async () => {
        const at = () => Math.round((clock.now() - Date.UTC(2026, 0, 5, 8)) / hour);
        return {
          want: (answers: number) => {
            const entry = `${answers}@${at()}`;
            if (loads.at(-1) !== entry) loads.push(entry);
          },
          stop: async () => void loads.push(`end@${at()}`),
        };
      },
    };
    const edge = { control: { getWeights: async () => weights } };
    return { beginRollout: beginRollout(edge, deps), holdStage: holdStage(deps), shiftTraffic: shift(), ...others };
  }

  function shift(): Steps['shiftTraffic'] {
    const set = (to: Weights): void => {
      weights = to;
      shares.push(to.green);
    };
    return defineStep({
      action: 'shift-traffic',
      args: z.custom<{ from: Weights; to: Weights; release: string; back?: Weights | undefined }>(),
      apply: async ({ to }) => {
        set(to);
        return 'shifted';
      },
      undo: async ({ from, back }) => set(back ?? from),
    });
  }

  const plan = (policy: RolloutPolicy) =>
    canarySteps(wish, { release: 'v1-id', tag: 'v1', colour: 'blue' }, policy, steps());
  const run = (policy: RolloutPolicy, signal = new AbortController().signal) =>
    runner.run('op', [async () => plan(policy)], signal);

  it('is a plan that names every stage, its time and where it comes from', () => {
    expect(plan(mlops).map(({ title, pivot }) => `${title}${pivot ? ' [pivot]' : ''}`)).toEqual([
      'prove that green is healthy and runs v2',
      'tell the edge where green listens',
      'hold v1 ready, policy mlops',
      'give 5 % to green (v2) [pivot]',
      'hold 5 % for 2 h (S4-7)',
      'give 25 % to green (v2) [pivot]',
      'hold 25 % for 6 h (S4-8)',
      'give 50 % to green (v2) [pivot]',
      'hold 50 % for 12 h (S4-9)',
      'give 100 % to green (v2) [pivot]',
      'record v2 as live',
      'watch green for 30 min',
    ]);
  });

  it('of twenty hours passes through every stage in its time', async () => {
    const began = clock.now();
    expect(await run(mlops)).toEqual({ result: 'done', error: null });
    expect(shares).toEqual([5, 25, 50, 100]);
    expect(clock.now() - began).toBeGreaterThanOrEqual(20.5 * hour);
    expect(clock.now() - began).toBeLessThan(20.6 * hour);
    expect(store.stages('op').map(({ weight, outcome }) => [weight, outcome])).toEqual([
      [5, 'passed'],
      [25, 'passed'],
      [50, 'passed'],
      [100, 'passed'],
    ]);
  });

  it('goes back at once, to the beginning, when a trigger fires; the reason is told', async () => {
    assess = ({ now, since, candidate }) =>
      store.stages('op').length === 2 && now - since > 3 * hour && candidate.tag === 'v2'
        ? { ...passing, rollback: [bad] }
        : passing;
    const outcome = await run(mlops);
    expect(outcome.result).toBe('rolled_back');
    expect(outcome.error?.exit).toBe(1);
    expect(outcome.error?.message).toBe('v2 was taken back at 25 %: S4-11: errors 4.2 % (expected at most 0.1 %)');
    // Never 5 % on the way back.
    expect(shares).toEqual([5, 25, 0, 0]);
    expect(store.stages('op').at(-1)).toMatchObject({
      outcome: 'failed',
      findings: expect.arrayContaining([expect.objectContaining(bad)]),
    });
  });

  it('goes back in the watch after the shift too', async () => {
    assess = ({ kind }) => (kind === 'bake' ? { ...passing, rollback: [bad] } : passing);
    expect((await run(mlops)).result).toBe('rolled_back');
    expect(weights).toEqual(allOn('blue'));
  });

  it('does not go back for what is only to be investigated', async () => {
    assess = () => ({ ...passing, investigate: [{ ...bad, id: 'S1-70' }] });
    expect((await run(mlops)).result).toBe('done');
    expect(store.stages('op')[0]?.findings).toContainEqual(
      expect.objectContaining({ id: 'S1-70', role: 'investigate' }),
    );
  });

  it('holds what is inconclusive, says what is missing, and never passes it', async () => {
    assess = () => ({ ...passing, gates: [scarce] });
    const waiting = new Set<string | null>();
    clock.onTick = () => void waiting.add(store.stages('op').at(-1)?.waiting ?? null);
    const outcome = await run(mlops);
    expect(outcome).toMatchObject({ result: 'rolled_back', error: { exit: 4, code: 'verdict_inconclusive' } });
    expect(outcome.error?.message).toMatch(
      /after 3 h 0 min there is still no pass: errors: 3 requests, needs 296 more/,
    );
    expect([...waiting].at(-1)).toMatch(/needs 296 more; appliance promote passes it by hand/);
    expect(shares).toEqual([5, 0]);
  });

  it('without any criterion never passes either', async () => {
    assess = () => ({ gates: [], rollback: [{ ...scarce, needed: undefined }], investigate: [] });
    healthy = (tag) => (tag === 'v2' ? 'inconclusive' : 'pass');
    expect((await run(mlops)).result).toBe('rolled_back');
  });

  it('a person passes one stage, or all', async () => {
    assess = () => ({ ...passing, gates: [scarce] });
    clock.onTick = () => {
      const held = store.stages('op').at(-1);
      if (held?.position === 0) store.promote('op', 0, 'anna');
      if (held?.position === 1) store.want('op', 'finish', 'anna');
    };
    expect((await run(mlops)).result).toBe('done');
    expect(store.stages('op').map(({ outcome }) => outcome)).toEqual(['promoted', 'promoted', 'promoted', 'promoted']);
    expect(store.stages('op')[0]?.promoted).toBe('anna');
  });

  it('goes back when it is called off and promoted at the same moment, whoever comes first', async () => {
    for (const order of [
      ['promote', 'abort'],
      ['abort', 'promote'],
    ] as const) {
      const id = order.join('-');
      journal.begin({ id, kind: 'deploy', target: 'v2', origin: 'v1', input: {}, actor }, clock.now());
      const began = clock.now();
      clock.onTick = (now) => {
        if (now !== began + 10 * minute) return;
        for (const what of order) {
          if (what === 'promote') store.promote(id, 0, 'anna');
          else store.want(id, 'abort', 'ben');
        }
      };
      const { result, error } = await runner.run(id, [async () => plan(mlops)], new AbortController().signal);
      expect({ result, code: error?.code }, id).toEqual({ result: 'rolled_back', code: 'rollout_aborted' });
      expect(error?.message, id).toMatch(/called off by ben/);
      expect(weights, id).toEqual(allOn('blue'));
    }
  });

  it('a promotion does not save a release whose trigger fires', async () => {
    assess = () => ({ ...passing, rollback: [bad] });
    clock.onTick = () => store.want('op', 'finish', 'anna');
    expect((await run(mlops)).result).toBe('rolled_back');
  });

  it('stands still while it is paused, and then takes the time that was left', async () => {
    const began = clock.now();
    clock.onTick = (now) => {
      if (now === began + hour) store.want('op', 'pause', 'anna');
      if (now === began + 11 * hour) store.want('op', 'run', 'anna');
    };
    expect((await run(mlops)).result).toBe('done');
    expect(clock.now() - began).toBeGreaterThanOrEqual(30.5 * hour);
    expect(store.stages('op')[0]?.held).toBeLessThanOrEqual(2 * hour + minute);
  });

  it('has declared requests sent while a stage wants them: not while it is paused, not after its end', async () => {
    const began = clock.now();
    assess = ({ held, left }) => ({ ...passing, toSend: held < hour && left > 0 ? 7 : 0 });
    clock.onTick = (now) => {
      if (now === began + 30 * minute) store.want('op', 'pause', 'anna');
      if (now === began + 10 * hour) store.want('op', 'run', 'anna');
      if (now === began + 10 * hour + 2 * minute) store.want('op', 'abort', 'anna');
    };
    expect((await run(mlops)).error?.code).toBe('rollout_aborted');
    expect(loads).toEqual(['7@0', ...rest(1, 10), '7@10', '0@10', 'end@10']);
  });

  it.each(['suspended', 'rolled_back'] as const)('lets go of declared requests when it is %s', async (how) => {
    const stop = new AbortController();
    let looks = 0;
    assess = () => {
      looks += 1;
      return { ...passing, rollback: how === 'rolled_back' && looks === 4 ? [bad] : [], toSend: 3 };
    };
    clock.onTick = () => {
      if (how === 'suspended' && looks === 4) stop.abort(new Suspension());
    };
    expect((await run(mlops, stop.signal)).result).toBe(how);
    expect(loads.filter((entry) => entry.startsWith('end'))).toHaveLength(1);
    expect(loads.at(-1)).toMatch(/^end/);
  });

  it('is called off by a person', async () => {
    clock.onTick = () => store.want('op', 'abort', 'anna');
    const outcome = await run(mlops);
    expect(outcome).toMatchObject({ result: 'rolled_back', error: { code: 'rollout_aborted', exit: 1 } });
    expect(outcome.error?.message).toContain('by anna');
    expect(weights).toEqual(allOn('blue'));
  });

  it.each(['told to stop', 'killed'])('goes on where it was after its agent was %s', async (how) => {
    const stop = new AbortController();
    const began = clock.now();
    clock.onTick = (now) => {
      if (now === began + 5 * hour) stop.abort(new Suspension());
    };
    expect((await run(mlops, stop.signal)).result).toBe('suspended');
    expect(weights.green).toBe(25);
    clock.onTick = () => {};
    if (how === 'killed') journal.step('op', 6, 'applying', clock.now());
    runner = newRunner();
    const operation = journal.operation('op');
    if (!operation) throw new Error('no operation');
    const outcome = await recover(operation, { journal, runner, urgentKinds: new Set() }, new AbortController().signal);
    expect(outcome.result).toBe('done');
    expect(clock.now() - began).toBeGreaterThanOrEqual(20.5 * hour);
    expect(clock.now() - began).toBeLessThan(20.7 * hour);
  });

  it('is taken back when its containers do not stay healthy, but not for one late answer', async () => {
    let asked = 0;
    healthy = (tag) => {
      asked += tag === 'v2' ? 1 : 0;
      return tag === 'v2' && (asked === 3 || asked > 10) ? 'fail' : 'pass';
    };
    const outcome = await run(mlops);
    expect(outcome).toMatchObject({ result: 'rolled_back', error: { code: 'rollout_failed' } });
    expect(asked).toBe(13);
  });

  it('asks for a person when the release that it went back to is not sound (S0-47)', async () => {
    assess = () => ({ ...passing, rollback: [bad] });
    let looks = 0;
    healthy = (tag) => {
      looks += tag === 'v1' ? 1 : 0;
      return tag === 'v1' ? 'fail' : 'pass';
    };
    const outcome = await run(mlops);
    expect(outcome).toMatchObject({ result: 'manual', error: { exit: 9 } });
    expect(outcome.error?.message).toMatch(/errors 4\.2 %.*not sound after 30 looks/);
    expect(looks).toBe(30);
  });

  it('waits until the release that it went back to is sound', async () => {
    assess = () => ({ ...passing, rollback: [bad] });
    let looks = 0;
    healthy = (tag) => {
      looks += tag === 'v1' ? 1 : 0;
      return tag === 'v1' && looks < 29 ? 'fail' : 'pass';
    };
    expect((await run(mlops)).result).toBe('rolled_back');
    expect(looks).toBe(29);
  });
});

/** `0@3`, `0@4`, … */
const rest = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, index) => `0@${from + index}`);

const named = <Args>(action: string): StepType<Args> =>
  defineStep({ action, args: z.custom<Args>(), apply: async () => 'done' });
const others = {
  waitHealthy: named<{ release: string; colour: 'blue' | 'green'; timeout: number }>('wait-healthy'),
  configureEdge: named<Parameters<Steps['configureEdge']['plan']>[0]>('configure-edge'),
  recordLive: named<Parameters<Steps['recordLive']['plan']>[0]>('record-live'),
  smoke: named<Parameters<Steps['smoke']['plan']>[0]>('smoke'),
  shadowTraffic: named<Parameters<Steps['shadowTraffic']['plan']>[0]>('shadow-traffic'),
};

const facts = { occupied: true, running: true, topology: null };
const topology = (colour: 'blue' | 'green') => ({ colour, release: 'v2', addresses: { web: ['10.213.0.10'] } });
const wish = {
  release: { id: 'v2-id', tag: 'v2', schema: null, migrates: false, imagesPresent: true },
  to: 'green' as const,
  topologies: { blue: topology('blue'), green: topology('green') },
  observed: {
    at: 0,
    live: { release: 'v1-id', tag: 'v1', colour: 'blue' as const, since: 5 },
    colours: { blue: { release: 'v1-id', ...facts }, green: { release: 'v2-id', ...facts } },
    weights: allOn('blue'),
  },
  actor: 'root',
  config: configSchema.parse({
    name: 'shop',
    source: { repository: '/srv/shop' },
    services: { web: { role: 'app' } },
    routes: [{ path: '/', service: 'web', port: 80 }],
  }),
};
