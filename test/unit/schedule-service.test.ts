import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Job, ScheduleService } from '../../src/agent/schedule.ts';
import { everyMinute } from '../../src/agent/ticker.ts';
import { type Database, openDatabase } from '../../src/host/sqlite.ts';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { ApplianceError } from '../../src/lib/errors.ts';
import { auditMigrations } from '../../src/operations/audit.ts';
import { journalMigrations } from '../../src/operations/journal.ts';
import { ScheduleStore, scheduleMigrations } from '../../src/operations/schedule-store.ts';
import { defineStep } from '../../src/operations/step.ts';
import { operationsOf } from '../support/operations.ts';

const minute = 60_000;
const hour = 60 * minute;
const modules = [journalMigrations, auditMigrations, scheduleMigrations];
const person = { uid: 1000, user: 'ada', ssh: null };
const never = new AbortController().signal;

let directory: string;
let database: Database;
let now: number;
const clock: Clock = { ...systemClock, now: () => now };
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'schedule-'));
  database = openDatabase(join(directory, 'state.db'), modules);
  now = Date.UTC(2026, 10, 20, 12);
});
afterEach(() => {
  database.close();
  rmSync(directory, { recursive: true, force: true });
});

/** One job, at 02:00 UTC, whose step does what the test says; as many of it as there are processes and generations. */
function open(work: () => Promise<string> = async () => 'noted', schedule = { at: [120] }) {
  const step = defineStep({ action: 'note', args: z.object({}), apply: work });
  const problems: ApplianceError[] = [];
  const { journal, operations } = operationsOf(database, {
    clock,
    step,
    urgent: ['nightly'],
    onError: (error) => void problems.push(error),
  });
  const prepared = (kind: string) => ({
    kind,
    target: null,
    origin: null,
    phases: [async () => [step.plan({}, { title: 'note it down', cause: 'test' })]],
  });
  const job: Job = {
    name: 'backup',
    title: 'back everything up',
    schedule,
    zone: 'UTC',
    kind: 'nightly',
    enabled: true,
    prepare: () => prepared('nightly'),
  };
  const service = new ScheduleService({
    name: 'shop',
    clock,
    database,
    journal,
    operations,
    jobs: [job],
    onError: (error) => void problems.push(error),
  });
  const store = new ScheduleStore(database);
  const runs = () =>
    store
      .recent('backup', 100)
      .map(({ slot, result }) => `${slot} ${result}`)
      .reverse();
  const tick = async () => {
    service.tick(never);
    await delay(1);
    await operations.idle();
    await delay(1);
  };
  return { service, operations, journal, store, runs, tick, problems, prepared };
}

async function consume(events: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of events) {
    // To its end.
  }
}

describe('the schedule of an appliance', () => {
  it('runs the job once a night as an operation, says when it is next, and knows it after a restart', async () => {
    const first = open();
    await first.tick();
    expect(first.runs()).toEqual([]); // the night before the appliance existed
    now = Date.UTC(2026, 10, 21, 2, 0, 30);
    for (let tick = 0; tick < 5; tick += 1) await first.tick();
    expect(first.runs()).toEqual(['2026-11-21 done']);
    const [view] = first.service.list();
    expect(view).toMatchObject({
      name: 'backup',
      schedule: 'daily at 02:00',
      zone: 'UTC',
      state: 'idle',
      last: { slot: '2026-11-21', result: 'done', error: null },
      nextRun: '2026-11-22T02:00:00.000Z',
      overdueSeconds: 0,
    });
    expect(first.journal.operation(view?.last?.operation ?? '')?.actor.user).toBe('appliance');
    const again = open();
    now += 3 * hour;
    await again.tick();
    expect(again.runs()).toEqual(['2026-11-21 done']);
    expect(first.problems).toEqual([]);
  });

  it('tries a night that fails again with growing pauses, says why, and by hand is as good', async () => {
    let broken = true;
    const { service, tick, runs } = open(async () => {
      if (broken) throw new ApplianceError('operation_failed', 'the database is down');
      return 'noted';
    });
    await tick();
    now = Date.UTC(2026, 10, 21, 2);
    for (const wait of [0, 0, 1, 2, 3]) {
      now += wait * minute;
      await tick();
    }
    // At 0, after 1, after 1 + 5 minutes.
    expect(runs()).toEqual(['2026-11-21 failed', '2026-11-21 failed', '2026-11-21 failed']);
    expect(service.list()[0]).toMatchObject({
      last: { result: 'failed', error: 'the database is down' },
      lastSuccess: null,
      overdueSeconds: 360,
      nextRun: '2026-11-21T02:21:00.000Z',
    });
    broken = false;
    await consume(service.run('backup', person, 0, never));
    now += hour;
    await tick();
    expect(runs().at(-1)).toBe('2026-11-21 done');
    expect(runs()).toHaveLength(4);
  });

  it('waits for a deploy and says for whose, and a deploy is told of a backup', async () => {
    const gate = Promise.withResolvers<void>();
    const { service, operations, tick, runs, prepared } = open(async () => {
      await gate.promise;
      return 'noted';
    });
    await tick();
    const wish = { kind: 'deploy', input: {}, actor: person, wait: 0 };
    const deploy = consume(operations.start(wish, () => ({ ...prepared('deploy'), target: 'v1.0' }), never));
    await delay(5);
    now = Date.UTC(2026, 10, 21, 2);
    service.tick(never);
    service.tick(never);
    await delay(5);
    expect(runs()).toEqual(['2026-11-21 running']);
    const [waiting] = service.list();
    expect(waiting?.state).toBe('waiting');
    expect(waiting?.waitsFor).toMatch(/^deploy v1\.0 is running: begun by ada .*"note it down"/);
    gate.resolve();
    await deploy;
    await operations.idle();
    await delay(5);
    expect(runs()).toEqual(['2026-11-21 done']);

    const second = Promise.withResolvers<void>();
    const held = open(async () => {
      await second.promise;
      return 'noted';
    });
    now = Date.UTC(2026, 10, 22, 2);
    held.service.tick(never);
    await delay(5);
    expect(held.service.list()[0]?.state).toBe('running');
    const refused = consume(held.operations.start(wish, () => prepared('deploy'), never));
    await expect(refused).rejects.toThrow(/^nightly is running: begun by appliance/);
    second.resolve();
    await held.operations.idle();
  });

  it('tries a night again that a killed agent has cut short, and does not run one twice that was whole', async () => {
    const { store, journal, runs, tick } = open();
    await tick();
    now = Date.UTC(2026, 10, 21, 2);
    // Killed before the operation began: nobody knows of it but the schedule.
    store.begin('backup', '2026-11-21', 'a process that was killed', now);
    await tick();
    expect(runs()).toEqual(['2026-11-21 interrupted']);
    now += minute;
    await tick();
    expect(runs()).toEqual(['2026-11-21 interrupted', '2026-11-21 done']);

    // Killed after the operation was done and before the schedule could note it, or even which one it was.
    now = Date.UTC(2026, 10, 22, 2);
    const id = store.begin('backup', '2026-11-22', 'a process that was killed', now);
    journal.begin(
      { id: 'nightly-1', kind: 'nightly', target: null, origin: null, input: { run: id }, actor: person },
      now,
    );
    await tick();
    expect(runs().at(-1)).toBe('2026-11-22 running'); // it is being finished
    journal.end('nightly-1', 'done', now, null);
    for (let count = 0; count < 3; count += 1) {
      now += hour;
      await tick();
    }
    expect(runs().slice(2)).toEqual(['2026-11-22 done']);
  });

  it('makes up for one night after a week, and a clock that was far ahead keeps no night from being run', async () => {
    const { tick, runs } = open();
    now = Date.UTC(2039, 0, 1, 12); // set wrongly when the appliance was installed
    await tick();
    now = Date.UTC(2026, 10, 20, 12);
    await tick();
    now = Date.UTC(2026, 10, 27, 7);
    await tick();
    now = Date.UTC(2026, 10, 25, 7); // set back
    await tick();
    now = Date.UTC(2026, 10, 28, 2);
    await tick();
    expect(runs()).toEqual(['2026-11-27 done', '2026-11-25 done', '2026-11-28 done']);
  });

  it('tells of an unknown job which there are', () => {
    const { service } = open();
    expect(() => service.run('backpu', person, 0, never)).toThrow(/there is no job backpu/);
  });
});

describe('the tick', () => {
  it('comes at once and ends with its signal', () => {
    const stop = new AbortController();
    let ticks = 0;
    everyMinute(() => {
      ticks += 1;
    }, stop.signal);
    expect(ticks).toBe(1);
    stop.abort();
    everyMinute(() => {
      ticks += 1;
    }, stop.signal);
    expect(ticks).toBe(1);
  });
});
