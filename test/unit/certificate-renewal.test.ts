import { describe, expect, test } from 'vitest';
import { certificateJobs } from '../../src/agent/certificate-jobs.ts';
import { allowance } from '../../src/capabilities/certificates/budget.ts';
import { drawPoint, isSensible, renewalTime, retryTime } from '../../src/capabilities/certificates/renewal.ts';
import { type CertificateSet, certificateSets, certificatesSchema } from '../../src/config/certificates.ts';
import { due } from '../../src/lib/schedule.ts';
import { random as seeded } from '../support/random.ts';

const day = 86_400_000;
const hour = 3_600_000;
const start = Date.UTC(2026, 0, 1);

describe('when a certificate is renewed (S1-29)', () => {
  test.each([
    [90, 60],
    [64, (64 * 2) / 3],
    [45, 30],
    [6, 3],
    [9.99, 4.995],
    [10, (10 * 2) / 3],
  ])('of %d days after %d', (lifetime, after) => {
    const at = renewalTime({ notBefore: start, notAfter: start + lifetime * day }, undefined);
    expect(at).toBe(start + Math.floor(after * day));
  });

  const random = seeded(29);
  const lifetimes = [90, 64, 45, 6, 160 / 24, 1, 1 / 24, 398, 825];

  test('whatever an authority suggests, within the lifetime, and never in its last sixth', () => {
    for (let round = 0; round < 20_000; round += 1) {
      const lifetime = (lifetimes[Math.floor(random() * lifetimes.length)] ?? 90) * day;
      const certificate = { notBefore: start, notAfter: start + lifetime };
      const from = start + Math.floor((random() * 1.4 - 0.2) * lifetime);
      const window = { start: from, end: from + 1 + Math.floor(random() * lifetime) };
      const point = drawPoint(window, random());
      expect(point).toBeGreaterThanOrEqual(window.start);
      expect(point).toBeLessThan(window.end);
      const at = renewalTime(certificate, isSensible(window, certificate) ? { ...window, point } : undefined);
      expect(at).toBeLessThanOrEqual(start + Math.floor((lifetime * 5) / 6));
      if (isSensible(window, certificate))
        expect(at === point || at === start + Math.floor((lifetime * 5) / 6)).toBe(true);
      else expect(at).toBeGreaterThanOrEqual(start + Math.floor(lifetime / 2) - 1);
    }
  });

  test('points of a window are spread over all of it', () => {
    const window = { start, end: start + day };
    const points = Array.from({ length: 1_000 }, () => drawPoint(window, random()));
    const firstHalf = points.filter((point) => point < start + day / 2).length;
    expect(firstHalf).toBeGreaterThan(420);
    expect(firstHalf).toBeLessThan(580);
  });

  test('a window without length, after the end or without meaning is no advice', () => {
    const certificate = { notBefore: start, notAfter: start + 90 * day };
    for (const [from, to] of [
      [start + day, start + day],
      [start + 2 * day, start + day],
      [start + 90 * day, start + 91 * day],
      [Number.NaN, start + day],
    ] as const)
      expect(isSensible({ start: from, end: to }, certificate)).toBe(false);
  });
});

describe('when certificates are looked at', () => {
  const sets: readonly [CertificateSet, ...CertificateSet[]] = certificateSets({
    edge: { domains: ['shop.example'] },
    certificates: certificatesSchema.parse({}),
  });
  const jobs = certificateJobs(
    { sets },
    { check: () => ({ kind: 'certs-check', target: 'edge', origin: null, phases: [] }) },
    'Europe/Berlin',
  );
  const [job] = jobs;
  if (!job) throw new Error('no job');
  const seen = (host: string, from: number, days: number): number[] => {
    const done = new Set<string>();
    const times: number[] = [];
    for (let now = from; now < from + days * day; now += 5 * 60_000) {
      const history = (key: string) => ({ succeeded: done.has(key), running: false, failures: 0, lastFailure: null });
      const { run } = due(
        { schedule: job.schedule, zone: job.zone, seed: `${host} ${job.name}` },
        from - day,
        history,
        now,
      );
      if (!run) continue;
      done.add(run.key);
      times.push(now);
    }
    return times;
  };

  test('a few times a day, at other times on each host, at most half a day apart, also where clocks are put forward', () => {
    expect(jobs.map(({ name }) => name)).toEqual(['certificates']);
    const march = Date.UTC(2026, 2, 25);
    const [one, other] = [seen('shop', march, 10), seen('other', march, 10)];
    expect(one.length).toBeGreaterThanOrEqual(39);
    expect(one.length).toBeLessThanOrEqual(41);
    const apart = one.slice(1).map((at, index) => at - (one[index] ?? at));
    expect(Math.max(...apart)).toBeLessThanOrEqual(12 * hour);
    expect(one.filter((at) => other.includes(at)).length).toBeLessThan(10);
  });

  test('once, and at once, by a host that was off for weeks', () => {
    const done = new Set<string>();
    const off = start + 30 * day;
    const runs: string[] = [];
    for (const now of [off, off + 1_000, off + 60_000]) {
      const history = (key: string) => ({ succeeded: done.has(key), running: false, failures: 0, lastFailure: null });
      const { run } = due({ schedule: job.schedule, zone: job.zone, seed: 'shop certificates' }, start, history, now);
      if (run) runs.push(run.key);
      if (run) done.add(run.key);
    }
    expect(runs).toHaveLength(1);
  });

  test('by the clock where there is somebody to ask or files to prove: not one that signs itself', () => {
    const enabled = (['acme', 'imported', 'self-signed'] as const).map((issuer) => {
      const asked = certificateSets({
        edge: { domains: ['shop.example'] },
        certificates: certificatesSchema.parse({ issuer }),
      });
      const check = () => ({ kind: 'certs-check', target: 'edge', origin: null, phases: [] });
      return certificateJobs({ sets: asked }, { check }, 'UTC').map((each) => each.enabled);
    });
    expect(enabled).toEqual([[true], [true], [false]]);
  });

  test('one that fails keeps no other from being renewed: each has a job', () => {
    const two = certificateSets({
      edge: { domains: ['shop.example', 'shop.lan'] },
      certificates: certificatesSchema.parse({
        sets: [
          { name: 'shop', domains: ['shop.example'] },
          { name: 'internal', domains: ['shop.lan'] },
        ],
      }),
    });
    const asked: string[] = [];
    const check = (name: string) => {
      asked.push(name);
      return { kind: 'certs-check', target: name, origin: null, phases: [] };
    };
    const all = certificateJobs({ sets: two }, { check }, 'UTC');
    expect(all.map(({ name }) => name)).toEqual(['certificates-shop', 'certificates-internal']);
    for (const { prepare } of all) void prepare({ uid: 0, user: 'root', ssh: null }, 'by hand');
    expect(asked).toEqual(['shop', 'internal']);
  });
});

describe('when an attempt is made again by itself', () => {
  test('an hour later, then twice as long, at most a day', () => {
    const end = start + 30 * day;
    expect([1, 2, 3, 4, 5, 6, 50].map((failures) => (retryTime(failures, start, end) - start) / hour)).toEqual([
      1, 2, 4, 8, 16, 24, 24,
    ]);
  });

  test('closer together towards the end, never more than once a minute', () => {
    expect(retryTime(9, start, start + 5 * hour) - start).toBe(hour / 2);
    expect(retryTime(9, start, start + 60_000) - start).toBe(60_000);
    expect(retryTime(9, start, start - day) - start).toBe(hour);
  });
});

describe('limits of an authority, counted here', () => {
  const limits = { certificatesPerWeek: 5, failuresPerHour: 5 };
  const none = { issued: [], failed: new Map<string, number[]>(), retryAt: undefined };
  const now = start + 30 * day;

  test('five certificates of the same names in a week, and the sixth when the first is a week old', () => {
    const issued = [6, 5, 4, 3, 2].map((days) => now - days * day);
    expect(allowance({ ...none, issued }, limits, now)).toMatchObject({ allowed: false, until: now + day });
    expect(allowance({ ...none, issued: issued.slice(1) }, limits, now)).toEqual({ allowed: true });
    expect(allowance({ ...none, issued }, limits, now + day)).toEqual({ allowed: true });
    expect(allowance({ ...none, issued }, { ...limits, certificatesPerWeek: 0 }, now)).toEqual({ allowed: true });
  });

  test('five failed validations of a name in an hour', () => {
    const failed = new Map([['shop.example', [50, 40, 30, 20, 10].map((minutes) => now - minutes * 60_000)]]);
    expect(allowance({ ...none, failed }, limits, now)).toMatchObject({ allowed: false, until: now + 10 * 60_000 });
    expect(allowance({ ...none, failed }, limits, now + 10 * 60_000)).toEqual({ allowed: true });
  });

  test('what it asked for with Retry-After, to the second', () => {
    expect(allowance({ ...none, retryAt: now + day }, limits, now)).toMatchObject({ allowed: false, until: now + day });
    expect(allowance({ ...none, retryAt: now }, limits, now)).toEqual({ allowed: true });
  });

  test('a clock that was set back locks nobody out for longer than the window', () => {
    const issued = Array.from({ length: 5 }, () => now + 3 * day);
    const answer = allowance({ ...none, issued }, limits, now);
    expect(answer).toMatchObject({ allowed: false, until: now + 7 * day });
  });
});
