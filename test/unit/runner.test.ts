import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Database, openDatabase } from '../../src/host/sqlite.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { ApplianceError } from '../../src/lib/errors.ts';
import { Journal, journalMigrations } from '../../src/operations/journal.ts';
import { directionOf, recover } from '../../src/operations/recovery.ts';
import { Runner, type RunnerEvent } from '../../src/operations/runner.ts';
import { defineStep } from '../../src/operations/step.ts';

const actor = { uid: 0, user: 'root', ssh: null };

/** Step types that write down what is called, and do as they are told. */
function world() {
  const calls: string[] = [];
  const failing = new Set<string>();
  const step = defineStep({
    action: 'note',
    args: z.object({ name: z.string() }),
    apply: async ({ name }, { signal }) => {
      calls.push(`apply ${name}`);
      if (failing.has(`hang ${name}`)) await systemClock.sleep(60_000, signal);
      if (failing.has(`apply ${name}`)) throw new ApplianceError('step_failed', `${name} is broken`);
      return `did ${name}`;
    },
    verify: async ({ name }) => {
      calls.push(`verify ${name}`);
      if (failing.has(`hang verify ${name}`)) await new Promise(() => undefined);
      return {
        id: name,
        verdict: failing.has(`verify ${name}`) ? ('fail' as const) : ('pass' as const),
        observed: 'as seen',
      };
    },
    undo: async ({ name }) => {
      calls.push(`undo ${name}`);
      if (failing.has(`hang undo ${name}`)) await new Promise(() => undefined);
      if (failing.has(`undo ${name}`))
        throw new ApplianceError('step_failed', `${name} cannot be taken back`, { hint: 'mend it' });
    },
    lasting: ({ name }) => (failing.has(`lasting ${name}`) ? `${name} stays` : null),
  });
  return { calls, failing, step };
}

describe('runner', () => {
  let database: Database;
  let journal: Journal;
  let events: RunnerEvent[];
  let w: ReturnType<typeof world>;
  let runner: Runner;

  beforeEach(() => {
    database = openDatabase(':memory:', [journalMigrations]);
    journal = new Journal(database);
    events = [];
    w = world();
    const clock = {
      ...systemClock,
      sleep: (ms: number, signal?: AbortSignal) => systemClock.sleep(Math.min(ms, 60_000 === ms ? ms : 1), signal),
    };
    runner = new Runner({
      journal,
      clock,
      steps: new Map([['note', w.step]]),
      onEvent: (event) => void events.push(event),
      abortGrace: 20,
    });
    journal.begin({ id: 'op', kind: 'deploy', target: 'v1', origin: null, input: {}, actor }, 1);
  });
  afterEach(() => database.close());

  const plan = (name: string, about: { pivot?: boolean; optional?: boolean; deadline?: number } = {}) =>
    w.step.plan({ name }, { title: `do ${name}`, cause: 'test', ...about });
  const run = (...steps: ReturnType<typeof plan>[]) =>
    runner.run('op', [async () => steps], new AbortController().signal);
  const states = () => journal.steps('op').map(({ state }) => state);

  it('applies and verifies steps in order', async () => {
    expect(await run(plan('a'), plan('b'))).toEqual({ result: 'done', error: null });
    expect(w.calls).toEqual(['apply a', 'verify a', 'apply b', 'verify b']);
    expect(states()).toEqual(['verified', 'verified']);
  });

  it('plans a later phase only after the earlier one is done', async () => {
    const seen: string[] = [];
    await runner.run(
      'op',
      [
        async () => [plan('a')],
        async () => {
          seen.push(...w.calls);
          return [plan('b')];
        },
      ],
      new AbortController().signal,
    );
    expect(seen).toEqual(['apply a', 'verify a']);
    expect(journal.steps('op').map(({ detail }) => detail)).toEqual(['did a', 'did b']);
  });

  it('takes back in reverse order what was begun, and says "failed" before the pivot', async () => {
    w.failing.add('apply c');
    const outcome = await run(plan('a'), plan('b'), plan('c'), plan('d', { pivot: true }));
    expect(outcome.result).toBe('failed');
    expect(outcome.error?.message).toBe('c is broken');
    expect(w.calls.slice(-3)).toEqual(['undo c', 'undo b', 'undo a']);
    expect(states()).toEqual(['undone', 'undone', 'undone', 'pending']);
  });

  it('says what stays although it was taken back, of steps that were begun', async () => {
    w.failing.add('apply b').add('lasting a').add('lasting b').add('lasting c');
    const outcome = await run(plan('a'), plan('b'), plan('c'));
    expect(outcome.error).toMatchObject({ code: 'step_failed', message: 'b is broken', left: 'a stays; b stays' });
  });

  it('says "rolled_back" when the pivot had been passed', async () => {
    w.failing.add('verify c');
    const outcome = await run(plan('a'), plan('b', { pivot: true }), plan('c'));
    expect(outcome.result).toBe('rolled_back');
    expect(outcome.error?.code).toBe('step_failed');
    expect(w.calls.slice(-3)).toEqual(['undo c', 'undo b', 'undo a']);
  });

  it('asks for a person when taking back fails, and says what to type', async () => {
    w.failing.add('apply b').add('undo a');
    const outcome = await run(plan('a'), plan('b'));
    expect(outcome.result).toBe('manual');
    expect(outcome.error?.exit).toBe(9);
    expect(outcome.error?.hint).toBe('mend it; then type: appliance up');
    expect(w.calls.filter((call) => call === 'undo a')).toHaveLength(3);
  });

  it('goes on after an optional step has failed', async () => {
    w.failing.add('apply b');
    expect((await run(plan('a'), plan('b', { optional: true }), plan('c'))).result).toBe('done');
    expect(states()).toEqual(['verified', 'failed', 'verified']);
  });

  it('stops a step at its deadline', async () => {
    w.failing.add('hang a');
    const outcome = await run(plan('a', { deadline: 50 }));
    expect(outcome.error?.code).toBe('timeout');
    expect(w.calls).toEqual(['apply a', 'undo a']);
  });

  it('takes back when the operation is interrupted', async () => {
    const abort = new AbortController();
    w.failing.add('hang b');
    const running = runner.run('op', [async () => [plan('a'), plan('b')]], abort.signal);
    while (!w.calls.includes('apply b')) await systemClock.sleep(1);
    abort.abort();
    const outcome = await running;
    expect(outcome.error?.code).toBe('interrupted');
    expect(w.calls.slice(-2)).toEqual(['undo b', 'undo a']);
  });

  it('touches nothing when the planner refuses', async () => {
    const refuse = async () => {
      throw new ApplianceError('schema_gate', 'no');
    };
    const outcome = await runner.run('op', [refuse], new AbortController().signal);
    expect(outcome).toMatchObject({ result: 'failed', error: { code: 'schema_gate' } });
    expect(w.calls).toEqual([]);
  });

  it('tells each transition after it stands in the journal', async () => {
    const seen: string[] = [];
    const telling = new Runner({
      journal,
      clock: systemClock,
      steps: new Map([['note', w.step]]),
      onEvent: (event) => {
        if (event.kind === 'step') seen.push(`${event.state}=${journal.steps('op')[event.position]?.state}`);
      },
    });
    await telling.run('op', [async () => [plan('a')]], new AbortController().signal);
    expect(seen).toEqual(['applying=applying', 'applied=applied', 'verified=verified']);
  });

  describe('recovery', () => {
    const cutShort = (
      kind: string,
      names: readonly [string, 'pending' | 'applying' | 'applied' | 'verified' | 'failed', boolean?][],
    ) => {
      journal.begin({ id: 'cut', kind, target: 'v1', origin: null, input: {}, actor }, 2);
      journal.plan(
        'cut',
        names.map(([name, , pivot]) => plan(name, { pivot: pivot ?? false })),
      );
      names.forEach(([, state], index) => {
        if (state !== 'pending') journal.step('cut', index, state, 3, { detail: `${state} because of this` });
      });
      const record = journal.operation('cut');
      if (!record) throw new Error('not begun');
      return recover(record, { journal, runner, urgentKinds: new Set(['rollback']) }, new AbortController().signal);
    };

    it('takes a deploy back that had not reached the pivot', async () => {
      const outcome = await cutShort('deploy', [
        ['a', 'verified'],
        ['b', 'applying'],
        ['c', 'pending', true],
      ]);
      expect(outcome.result).toBe('failed');
      expect(w.calls).toEqual(['undo b', 'undo a']);
    });

    it('finishes a deploy from the pivot on', async () => {
      const outcome = await cutShort('deploy', [
        ['a', 'verified'],
        ['b', 'applying', true],
        ['c', 'pending'],
      ]);
      expect(outcome.result).toBe('done');
      expect(w.calls).toEqual(['apply b', 'verify b', 'apply c', 'verify c']);
    });

    it('finishes a rollback wherever it was', async () => {
      const outcome = await cutShort('rollback', [
        ['a', 'applying'],
        ['b', 'pending', true],
      ]);
      expect(outcome.result).toBe('done');
      expect(w.calls).toEqual(['apply a', 'verify a', 'apply b', 'verify b']);
    });

    it('says why it goes back when a step had failed before', async () => {
      const outcome = await cutShort('deploy', [
        ['a', 'verified', true],
        ['b', 'failed'],
        ['c', 'pending'],
      ]);
      expect(outcome).toMatchObject({ result: 'rolled_back', error: { code: 'step_failed' } });
      expect(outcome.error?.message).toMatch(/^failed because of this; the agent or the host stopped/);
    });

    it('goes on taking back when that was cut short', () => {
      const { plan: step } = { plan: plan('a', { pivot: true }) };
      expect(
        directionOf(
          [
            { plan: step, state: 'verified' },
            { plan: plan('b'), state: 'undoing' },
          ],
          true,
        ),
      ).toBe('back');
    });

    it('does not take back a deploy of which only an optional step failed', () => {
      const steps = [
        { plan: plan('shift', { pivot: true }), state: 'verified' as const },
        { plan: plan('tidy up', { optional: true }), state: 'failed' as const },
      ];
      expect(directionOf(steps, false)).toBe('forward');
    });

    it('does not hang when verifying hangs, whatever the signal says', async () => {
      w.failing.add('hang verify a');
      const { result, error } = await run(plan('a', { deadline: 30 }));
      expect(result).toBe('failed');
      expect(error?.message).toContain('do a: not done after');
    });

    it('does not hang when taking back hangs: it asks for a person', async () => {
      w.failing.add('apply b').add('hang undo a');
      const { result, error } = await run(plan('a', { deadline: 30 }), plan('b'));
      expect(result).toBe('manual');
      expect(error?.message).toContain('it was not taken back after');
      expect(w.calls.filter((call) => call === 'undo a')).toHaveLength(1);
    });

    it('still knows that traffic had shifted when taking back was cut short', async () => {
      journal.plan('op', [plan('a'), plan('b', { pivot: true }), plan('c')]);
      journal.step('op', 0, 'verified', 1);
      journal.step('op', 1, 'undone', 2);
      journal.step('op', 2, 'undone', 3);
      const outcome = await runner.back('op', new ApplianceError('step_failed', 'c is broken'));
      expect(outcome.result).toBe('rolled_back');
      expect(w.calls).toEqual(['undo a']);
    });
  });
});
