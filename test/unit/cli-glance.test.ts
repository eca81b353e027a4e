import { describe, expect, it } from 'vitest';
import type { Backup } from '../../src/api/backups.ts';
import { backupLine, requestsLine, shortAge } from '../../src/api/describe.ts';
import type { Status } from '../../src/api/schema.ts';
import type { Look } from '../../src/cli/output/look.ts';
import { backupTable } from '../../src/cli/verbs/backup.ts';
import { statusLines } from '../../src/cli/verbs/status.ts';
import { recordedStatus } from '../e2e/stage/records.ts';

// What somebody sees at a glance, on a terminal of 80 columns.
const now = Date.parse('2030-01-01T12:00:00Z');
const hoursAgo = (hours: number): string => new Date(now - hours * 3_600_000).toISOString();
const look: Look = { terminal: true, colour: false, unicode: true, width: 80 };

const status: Status = {
  ...recordedStatus(),
  name: 'shop',
  version: '1.0.0',
  release: { tag: 'v1.0', colour: 'blue', since: hoursAgo(30) },
  traffic: { blue: 100, green: 0 },
  services: [],
  operation: null,
  verdict: 'pass',
  edge: { http: 'http://127.0.0.1:80', https: 'https://127.0.0.1:443', reachable: true },
  agent: { running: true, pid: 7, since: hoursAgo(30) },
  findings: [],
};

const snapshot = (hours: number, about: Partial<Backup> = {}): Backup => ({
  id: '20291202T020000Z-1f3c',
  time: hoursAgo(hours),
  kind: 'nightly',
  components: [],
  proven: { time: hoursAgo(hours), seconds: 12 },
  protected: false,
  bytes: 1_234_567_890,
  added: 123_456_789,
  kept: ['younger than 30 d', 'last proven'],
  problem: null,
  ...about,
});

describe('a list of backups', () => {
  it('fits 80 columns whatever stands in it, and still says why each is kept', () => {
    const backups = [
      snapshot(30 * 24),
      snapshot(47.9, { kind: 'pre-migration', bytes: null, proven: null }),
      snapshot(1.5, { problem: 'the manifest of the snapshot cannot be read', kind: 'pre-deploy' }),
    ];
    const lines = backupTable(backups, look, now);
    expect(lines).toHaveLength(4);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
    expect(lines[0]).toMatch(/^SNAPSHOT +AGE +KIND +SIZE +PROVEN +KEPT$/);
    expect(lines[1]).toMatch(/ 30 d .* 30 d .*younger/);
    expect(lines[3]).toContain('the manifest');
  });

  it('shows all of it where there is room', () => {
    const [, line] = backupTable([snapshot(3)], { ...look, width: 200 }, now);
    expect(line).toMatch(/ 3 h .*118 MiB .* 3 h .*younger than 30 d, last proven$/);
  });
});

describe('ages in a column', () => {
  it.each([
    [0.1, '0 s'],
    [12, '12 s'],
    [65, '1 min'],
    [3_600 * 30, '30 h'],
    [86_400 * 30, '30 d'],
  ])('%s s are %s', (seconds, text) => {
    expect(shortAge(new Date(now - seconds * 1_000).toISOString(), now)).toBe(text);
  });
});

describe('status in a terminal', () => {
  it('says when the last backup was made and proven, and what the edge answers', () => {
    const told = {
      ...status,
      requests: { seconds: 60, perSecond: 12.44, errorRatio: 0.0021, p95: 0.084 },
      backup: { lastSuccess: hoursAgo(10), lastProvenRestore: hoursAgo(50), nextRun: hoursAgo(-14) },
    };
    const text = statusLines(told, look, now).join('\n');
    expect(text).toContain('  requests  12.4/s, errors 0.21 %, p95 84 ms');
    expect(text).toContain('  backup    made 10 h ago, restore proven 2 d ago, next in 14 h');
  });

  it('never claims what nobody knows', () => {
    const never = { lastSuccess: null, lastProvenRestore: null, nextRun: null };
    expect(backupLine(never, now)).toBe('none was made yet, none is due by the clock');
    expect(backupLine({ ...never, lastSuccess: hoursAgo(1), nextRun: hoursAgo(1) }, now)).toBe(
      'made 1 h ago, restore proven never, next is due',
    );
    expect(requestsLine({ seconds: 60, perSecond: 0, errorRatio: null, p95: null })).toBe('0.0/s');
    expect(statusLines({ ...status, requests: null }, look, now).join('\n')).not.toContain('requests ');
  });
});
