import { describe, expect, it } from 'vitest';
import type { Check } from '../../src/capabilities/checks/check.ts';
import { alertsCheck, quietCheck } from '../../src/capabilities/checks/post-deploy/alerts.ts';
import { dashboardsCheck, drawn } from '../../src/capabilities/checks/post-deploy/dashboards.ts';
import { exhaustionChecks, sharesOf } from '../../src/capabilities/checks/post-deploy/exhaustion.ts';
import { gateChecks } from '../../src/capabilities/checks/post-deploy/gates.ts';
import { lastLook, looksOf, slotsOf } from '../../src/capabilities/checks/post-deploy/looks.ts';
import { growthOf, memoryGrowthCheck } from '../../src/capabilities/checks/post-deploy/memory-growth.ts';
import { recordedChecks } from '../../src/capabilities/checks/post-deploy/recorded.ts';
import { servicesCheck } from '../../src/capabilities/checks/post-deploy/services.ts';
import { backupsCheck, certificatesCheck, type UpkeepHands } from '../../src/capabilities/checks/post-deploy/upkeep.ts';
import { sampleDue, type UsageSample } from '../../src/capabilities/checks/post-deploy/usage.ts';
import { wayBackCheck } from '../../src/capabilities/checks/post-deploy/way-back.ts';

const signal = new AbortController().signal;
const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;
const mebi = 1024 * 1024;
const look = (check: Check | undefined) => {
  if (!check) throw new Error('there is no such check');
  return check.look(signal);
};

/** So many samples of a container, five minutes apart; memory in MiB, seconds of processor time. */
const series = (memory: (index: number) => number, count = 12, cpu = (_: number) => 0): UsageSample[] =>
  Array.from({ length: count }, (_, index) => ({
    at: index * 5 * minute,
    container: 'backend-1',
    memory: memory(index) * mebi,
    cpu: cpu(index),
  }));

describe('when looks are due (S0-58, S0-59, S0-60)', () => {
  it('an hour, a day and a week after the release went live, with the reviews of the policy', () => {
    const looks = looksOf([
      { id: 'S1-92', after: day },
      { id: 'own', after: 2 * hour },
    ]);
    expect(looks.map(({ name, ids }) => [name, ids])).toEqual([
      ['hour', ['S0-58']],
      ['2h', ['own']],
      ['day', ['S0-59', 'S1-92']],
      ['week', ['S0-60']],
    ]);
    expect(slotsOf({ release: 'v1-abc', since: 1_000 }, looks)[0]).toEqual({
      key: 'v1-abc@1000/hour',
      at: hour + 1_000,
    });
  });
  it('the last one whose time has come', () => {
    const looks = looksOf([]);
    expect(lastLook(0, looks, hour - 1)).toBeUndefined();
    expect(lastLook(0, looks, hour)?.name).toBe('hour');
    expect(lastLook(0, looks, 30 * day)?.name).toBe('week');
  });
  it('containers are measured every 5 minutes, then hourly, whatever the clock does', () => {
    expect(sampleDue(0, undefined, 0)).toBe(true);
    expect(sampleDue(0, 10 * minute, 14 * minute)).toBe(false);
    expect(sampleDue(0, 10 * minute, 15 * minute)).toBe(true);
    expect(sampleDue(0, 2 * hour, 2.5 * hour)).toBe(false);
    expect(sampleDue(0, 2 * hour, 3 * hour)).toBe(true);
    expect(sampleDue(0, 5 * day, hour)).toBe(true); // the clock was set back
  });
});

describe('growth of memory (S1-58)', () => {
  it.each<[string, (index: number) => number, boolean]>([
    ['a leak', (i) => 300 + 30 * i, true],
    ['a slow leak below what counts', (i) => 1_000 + i, false],
    ['a warm-up that ends', (i) => (i < 3 ? 200 + 100 * i : 500), false],
    ['noise', (i) => 500 + (i % 2 === 0 ? 150 : -150), false],
    ['a sawtooth of a garbage collector', (i) => 300 + 60 * (i % 4), false],
    ['less and less', (i) => 900 - 50 * i, false],
  ])('%s', (_, memory, grows) => {
    expect(growthOf('backend-1', series(memory, 24))?.grows).toBe(grows);
  });
  it('names the container with both figures, and says how many samples are missing', async () => {
    expect(await look(memoryGrowthCheck(() => series((i) => 300 + 40 * i)))).toMatchObject({
      verdict: 'fail',
      observed: expect.stringMatching(/^backend-1 \d+ MiB → \d+ MiB within 55 min/),
    });
    expect(await look(memoryGrowthCheck(() => series(() => 300)))).toMatchObject({ verdict: 'pass' });
    expect(await look(memoryGrowthCheck(() => series(() => 300, 3)))).toMatchObject({
      verdict: 'inconclusive',
      samples: 3,
      needed: 6,
    });
    expect(await look(memoryGrowthCheck(() => []))).toMatchObject({ verdict: 'inconclusive', samples: 0 });
  });
});

describe('exhaustion (S1-59)', () => {
  const room = { total: 100, free: 50, inodes: 0, freeInodes: 0 };
  const checks = (more: Partial<Parameters<typeof exhaustionChecks>[0]> = {}) =>
    exhaustionChecks({
      samples: () =>
        series(
          () => 1,
          3,
          (i) => i * 60,
        ),
      processors: () => 2,
      memory: async () => room,
      disk: async () => room,
      connections: async () => ({ used: 10, limit: 97 }),
      ...more,
    });
  const verdictOf = async (name: string, more: Parameters<typeof checks>[0] = {}) =>
    (await look(checks(more).find(({ id }) => id === `post-deploy.${name}`))).verdict;

  it.each<[string, string, Parameters<typeof checks>[0]]>([
    ['processors', 'pass', {}],
    [
      'processors',
      'fail',
      {
        samples: () =>
          series(
            () => 1,
            3,
            (i) => i * 590,
          ),
      },
    ],
    ['processors', 'inconclusive', { samples: () => series(() => 1, 1) }],
    ['memory', 'pass', {}],
    ['memory', 'fail', { memory: async () => ({ total: 100, free: 5 }) }],
    ['memory', 'inconclusive', { memory: async () => null }],
    ['disk', 'pass', {}],
    ['disk', 'fail', { disk: async () => ({ ...room, free: 9 }) }],
    ['disk', 'fail', { disk: async () => ({ ...room, inodes: 100, freeInodes: 1 }) }],
    ['connections', 'pass', {}],
    ['connections', 'fail', { connections: async () => ({ used: 90, limit: 97 }) }],
    ['connections', 'inconclusive', { connections: async () => undefined }],
  ])('%s: %s', async (name, verdict, more) => {
    expect(await verdictOf(name, more)).toBe(verdict);
  });
  it('counts a restarted container from nothing again', () => {
    const samples = series(
      () => 1,
      3,
      (i) => [600, 900, 30][i] ?? 0,
    );
    expect(sharesOf(samples, 1)).toEqual([1, 0.1]);
  });
});

describe('services, certificates, backups and alerts (S1-60, S1-79, S1-80, S1-86, S1-87)', () => {
  const now = 100 * day;
  const upkeep = (more: Partial<UpkeepHands> = {}): UpkeepHands => ({
    now: () => now,
    since: now - 2 * day,
    certificates: async () => [{ domain: 'a.example', notBefore: now - 30 * day, notAfter: now + 60 * day }],
    renewalErrors: () => new Map(),
    backups: () => ({ sound: now - hour, newestFailed: null, proven: now - hour, enabled: true }),
    ...more,
  });
  const backups = (more: Partial<ReturnType<UpkeepHands['backups']>>, since = now - 2 * day) =>
    look(backupsCheck(upkeep({ since, backups: () => ({ ...upkeep().backups(), ...more }) })));

  it('a service that does not run, or was restarted', async () => {
    const one = { name: 'backend-1', well: true, state: 'running', restarts: 0 };
    expect(await look(servicesCheck(async () => [one]))).toMatchObject({ verdict: 'pass', samples: 1 });
    expect(await look(servicesCheck(async () => [{ ...one, restarts: 2 }]))).toMatchObject({
      verdict: 'fail',
      observed: 'backend-1 was restarted 2 times',
    });
    expect(await look(servicesCheck(async () => [{ ...one, well: false, state: 'exited' }]))).toMatchObject({
      verdict: 'fail',
      observed: 'backend-1: exited',
    });
    expect((await look(servicesCheck(async () => []))).verdict).toBe('inconclusive');
  });
  it.each<[string, Partial<UpkeepHands>]>([
    ['pass', {}],
    ['fail', { renewalErrors: () => new Map([['main', 'no answer']]) }],
    ['fail', { certificates: async () => [{ domain: 'a', notBefore: 0, notAfter: now + 2 * day }] }],
    ['fail', { certificates: async () => [{ domain: 'a', notBefore: 0, notAfter: now - day }] }],
    // A certificate of six days is no trouble on its third.
    ['pass', { certificates: async () => [{ domain: 'a', notBefore: now - 3 * day, notAfter: now + 3 * day }] }],
    ['inconclusive', { certificates: async () => [] }],
  ])('certificates: %s', async (verdict, more) => {
    expect((await look(certificatesCheck(upkeep(more)))).verdict).toBe(verdict);
  });
  it('backups', async () => {
    expect((await backups({})).verdict).toBe('pass');
    expect((await backups({ sound: now - 27 * hour })).verdict).toBe('fail');
    expect((await backups({ newestFailed: 'b-1' })).observed).toBe('the last backup failed: b-1');
    expect((await backups({ enabled: false })).verdict).toBe('fail');
    expect((await backups({ proven: null })).verdict).toBe('inconclusive');
    expect((await backups({ sound: null })).verdict).toBe('fail');
    expect((await backups({ sound: null }, now - hour)).verdict).toBe('inconclusive');
  });
  it('alerts: the way to people is open and was used (S2-40)', async () => {
    const view =
      (problem: string | null, alerts: { name: string; severity: string; state: string }[] = []) =>
      async () => ({ alertmanager: { problem }, alerts });
    const hands = {
      receivers: 1,
      view: view(null),
      notifications: () => [{ channel: 'email', accepted: 3, refused: 0 }],
    };
    expect((await look(alertsCheck(hands))).verdict).toBe('pass');
    expect((await look(alertsCheck({ ...hands, receivers: 0 }))).verdict).toBe('fail');
    expect((await look(alertsCheck({ ...hands, view: view('refused') }))).verdict).toBe('fail');
    expect((await look(alertsCheck({ ...hands, notifications: () => [] }))).verdict).toBe('inconclusive');
    const refused = () => [{ channel: 'slack', accepted: 1, refused: 2 }];
    expect((await look(alertsCheck({ ...hands, notifications: refused }))).observed).toBe('slack refused 2 of 3');
    const none = { ...hands, view: async () => ({ alertmanager: null, alerts: [] }) };
    expect((await look(alertsCheck(none))).verdict).toBe('fail');
    const critical = { name: 'BackendDown', severity: 'critical', state: 'firing' };
    expect((await look(quietCheck({ ...hands, view: view(null, [critical]) }))).verdict).toBe('fail');
    expect((await look(quietCheck(hands))).verdict).toBe('pass');
  });
});

describe('dashboards, the way back and gates', () => {
  it('figures behind the dashboards are there (S1-85, S2-15, S2-39)', async () => {
    expect((await look(dashboardsCheck(undefined))).verdict).toBe('inconclusive');
    expect((await look(dashboardsCheck(async () => 2))).observed).toBe(`${2 * drawn.length} series`);
    const [missing = ''] = drawn;
    expect(await look(dashboardsCheck(async (metric) => (metric === missing ? 0 : 1)))).toMatchObject({
      verdict: 'fail',
      observed: `missing: ${missing}`,
    });
  });
  it.each<[string, Parameters<typeof wayBackCheck>[0]]>([
    ['inconclusive', async () => ({ previous: undefined, rolledBack: null })],
    ['fail', async () => ({ previous: { tag: 'v1', state: 'gone' }, rolledBack: 0 })],
    ['inconclusive', async () => ({ previous: { tag: 'v1', state: 'warm' }, rolledBack: null })],
    ['inconclusive', async () => ({ previous: { tag: 'v1', state: 'warm' }, rolledBack: 0 })],
    ['pass', async () => ({ previous: { tag: 'v1', state: 'kept' }, rolledBack: 99 * day })],
  ])('the way back: %s (S2-41)', async (verdict, wayBack) => {
    expect((await look(wayBackCheck(wayBack, () => 100 * day))).verdict).toBe(verdict);
  });
  it('gates are measured once for all of them (S1-54, S1-88)', async () => {
    let measured = 0;
    const checks = gateChecks(['S1-54', 'S1-55'], async () => {
      measured += 1;
      return [{ id: 'S1-54', verdict: 'fail', observed: '3 lines', samples: 3 }];
    });
    const seen = await Promise.all(checks.map(look));
    expect(seen.map(({ verdict }) => verdict)).toEqual(['fail', 'inconclusive']);
    expect(measured).toBe(1);
  });
});

describe('looks that were taken', () => {
  it('are lines of the checklist; those to come say when', async () => {
    const live = { release: 'v1-abc', since: 0 };
    const findings = [
      { id: 'post-deploy.disk', verdict: 'fail' as const, observed: '95 % in use' },
      { id: 'post-deploy.quiet', verdict: 'pass' as const, observed: 'none' },
    ];
    const record = { ...live, look: 'hour', at: hour, verdict: 'fail' as const, findings };
    const checks = recordedChecks(live, looksOf([]), [record], () => 30 * hour);
    const seen = await Promise.all(checks.map(look));
    expect(seen.map(({ verdict }) => verdict)).toEqual(['fail', 'inconclusive', 'inconclusive']);
    expect(seen[0]?.observed).toContain('post-deploy.disk: 95 % in use');
    expect(seen[1]?.observed).toBe('it was not taken');
    expect(seen[2]?.observed).toMatch(/^due in 5 d/);
  });
});
