import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FollowUps } from '../../src/agent/checks/follow-ups.ts';
import { ScheduleService } from '../../src/agent/schedule.ts';
import type { AlertDraft } from '../../src/capabilities/alerts/index.ts';
import { looksOf } from '../../src/capabilities/checks/post-deploy/looks.ts';
import { followUpMigrations } from '../../src/capabilities/checks/post-deploy/store.ts';
import { ReleaseStore, releaseMigrations } from '../../src/capabilities/releases/store.ts';
import { type Database, openDatabase } from '../../src/host/sqlite.ts';
import { type Clock, systemClock, timestamp } from '../../src/lib/clock.ts';
import type { Finding } from '../../src/lib/verdict.ts';
import { auditMigrations } from '../../src/operations/audit.ts';
import { journalMigrations } from '../../src/operations/journal.ts';
import { Reports, reportMigrations } from '../../src/operations/reports.ts';
import { scheduleMigrations } from '../../src/operations/schedule-store.ts';
import { operationsOf } from '../support/operations.ts';

const hour = 3_600_000;
const day = 24 * hour;
const start = Date.UTC(2026, 10, 20, 12);
const modules = [
  journalMigrations,
  auditMigrations,
  scheduleMigrations,
  reportMigrations,
  releaseMigrations,
  followUpMigrations,
];
const never = new AbortController().signal;

let directory: string;
let database: Database;
let now: number;
const clock: Clock = { ...systemClock, now: () => now };
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'follow-ups-'));
  database = openDatabase(join(directory, 'state.db'), modules);
  now = start;
});
afterEach(() => {
  database.close();
  rmSync(directory, { recursive: true, force: true });
});

/** Says that a release is live since now. */
function goLive(release: string): void {
  database
    .prepare(
      "INSERT OR IGNORE INTO releases (id, tag, commit_id, created_at, resolved_at) VALUES (?, ?, 'c0ffee', ?, ?)",
    )
    .run(release, release, now, now);
  database.prepare("INSERT OR REPLACE INTO live VALUES (1, ?, 'blue', ?)").run(release, now);
}

/** An agent that has just started on this state. */
function agent(findings: (signal: AbortSignal) => readonly Finding[] | Promise<readonly Finding[]>) {
  const reports = new Reports(database);
  const raised: AlertDraft[] = [];
  const resolved: string[] = [];
  const problems: string[] = [];
  const followUps = new FollowUps({
    clock,
    database,
    store: new ReleaseStore({ database, directory, clock }),
    watch: { readings: () => [] },
    alerting: { raise: (draft) => void raised.push(draft), resolve: (name) => void resolved.push(name) },
    reports,
    looks: looksOf([{ id: 'S1-92', after: day }]),
    run: async (signal) => findings(signal),
  });
  const step = followUps.step();
  const { journal, operations } = operationsOf(database, {
    clock,
    step,
    yieldingKinds: new Set(['post-deploy']),
    onError: (error) => void problems.push(error.message),
  });
  const schedule = new ScheduleService({
    name: 'shop',
    clock,
    database,
    journal,
    operations,
    jobs: [followUps.job('UTC', step.plan)],
    onError: (error) => void problems.push(error.message),
  });
  const tick = async () => {
    schedule.tick(never);
    await delay(5);
    await operations.idle();
    await delay(5);
  };
  const taken = (release: string) =>
    followUps
      .of(release)
      .filter(({ at }) => at !== null)
      .map(({ look, verdict }) => `${look} ${verdict}`);
  return { schedule, operations, followUps, tick, taken, raised, resolved, problems, journal };
}

const good: Finding = { id: 'post-deploy.disk', verdict: 'pass', observed: '40 % in use' };
const bad: Finding = { id: 'post-deploy.disk', verdict: 'fail', observed: '95 % in use' };

describe('looks after a deploy (S0-58, S0-59, S0-60, S1-58, S1-92)', () => {
  it('are taken an hour, a day and a week after it, once each, by whichever agent runs then', async () => {
    const first = agent(() => [good]);
    await first.tick();
    expect(first.schedule.list()[0]).toMatchObject({ name: 'post-deploy', nextRun: null, state: 'idle' });
    goLive('v1');
    await first.tick();
    expect(first.schedule.list()[0]?.nextRun).toBe(timestamp(start + hour));
    now = start + hour - 1_000;
    await first.tick();
    expect(first.taken('v1')).toEqual([]);
    now = start + hour;
    for (let tick = 0; tick < 3; tick += 1) await first.tick();
    expect(first.taken('v1')).toEqual(['hour pass']);
    // Another process, which knows nothing but the database.
    const second = agent(() => [good]);
    await second.tick();
    expect(second.taken('v1')).toEqual(['hour pass']);
    now = start + day;
    await second.tick();
    now = start + 7 * day;
    await second.tick();
    await second.tick();
    expect(second.taken('v1')).toEqual(['hour pass', 'day pass', 'week pass']);
    expect(second.schedule.list()[0]?.nextRun).toBe(null);
    expect(second.problems).toEqual([]);
  });

  it('begin anew with the next release, and what was seen of the one before stays', async () => {
    const { tick, taken, followUps } = agent(() => [good]);
    goLive('v1');
    await tick();
    now = start + hour;
    await tick();
    goLive('v2');
    await tick();
    expect([taken('v1'), taken('v2')]).toEqual([['hour pass'], []]);
    expect(followUps.of('v2').map(({ look, due, at }) => [look, due, at])).toContainEqual([
      'day',
      timestamp(start + hour + day),
      null,
    ]);
    now += hour;
    await tick();
    expect(taken('v2')).toEqual(['hour pass']);
  });

  it('a host that was off makes up for the last one alone', async () => {
    const { tick, taken } = agent(() => [good]);
    goLive('v1');
    await tick();
    now = start + 3 * day;
    await tick();
    await tick();
    expect(taken('v1')).toEqual(['day pass']);
  });

  it('a fail is told and no failure of the operation; a look at which all is well ends the alert', async () => {
    let findings = [good, bad];
    const { tick, taken, raised, resolved, journal, followUps } = agent(() => findings);
    goLive('v1');
    await tick();
    now = start + hour;
    await tick();
    await tick();
    expect(taken('v1')).toEqual(['hour fail']);
    expect(raised).toEqual([
      expect.objectContaining({
        name: 'FollowUpFailed',
        summary: 'v1 does not pass the look after its hour: disk: 95 % in use',
      }),
    ]);
    expect(journal.recent(10).map(({ kind, result, target }) => [kind, result, target])).toEqual([
      ['post-deploy', 'done', 'v1'],
    ]);
    expect(followUps.of('v1')[0]?.checks).toEqual([good, bad]);
    findings = [good];
    now = start + day;
    await tick();
    expect(resolved).toEqual(['FollowUpFailed']);
  });

  it('give way to whatever else is begun, and are taken again', async () => {
    let begun = (): void => undefined;
    const looking = new Promise<void>((resolve) => {
      begun = resolve;
    });
    let slow = true;
    const { schedule, operations, tick, taken, journal } = agent(async (signal) => {
      if (!slow) return [good];
      begun();
      return new Promise<never>((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
    });
    goLive('v1');
    await tick();
    now = start + hour;
    schedule.tick(never);
    await looking;
    const person = { uid: 1000, user: 'ada', ssh: null };
    const prepared = { kind: 'deploy', target: 'v2', origin: 'v1', phases: [async () => []] };
    const results: string[] = [];
    for await (const event of operations.start(
      { kind: 'deploy', input: {}, actor: person, wait: 0 },
      () => prepared,
      never,
    ))
      if (event.event === 'operation-ended') results.push(event.result.result);
    expect(results).toEqual(['done']);
    expect(journal.recent(10).map(({ kind, result }) => [kind, result])).toEqual([
      ['deploy', 'done'],
      ['post-deploy', 'failed'],
    ]);
    slow = false;
    now += 2 * 60_000;
    await tick();
    expect(taken('v1')).toEqual(['hour pass']);
  });

  it('by hand, before anything is live, says so', async () => {
    const { schedule } = agent(() => [good]);
    const person = { uid: 1000, user: 'ada', ssh: null };
    const events = schedule.run('post-deploy', person, 0, never);
    await expect(events.next()).rejects.toMatchObject({ code: 'not_deployed' });
  });
});
