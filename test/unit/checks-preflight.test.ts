import { describe, expect, it } from 'vitest';
import { reservedGpus } from '../../src/agent/checks/preflight-hands.ts';
import { clockCheck } from '../../src/capabilities/checks/preflight/clock.ts';
import { cpuCheck } from '../../src/capabilities/checks/preflight/cpu.ts';
import { diskCheck } from '../../src/capabilities/checks/preflight/disk.ts';
import { dnsCheck } from '../../src/capabilities/checks/preflight/dns.ts';
import { composeCheck, engineCheck } from '../../src/capabilities/checks/preflight/engine.ts';
import { firewallCheck } from '../../src/capabilities/checks/preflight/firewall.ts';
import { gpuCheck } from '../../src/capabilities/checks/preflight/gpu.ts';
import { imageSizesCheck } from '../../src/capabilities/checks/preflight/image-sizes.ts';
import { inodesCheck } from '../../src/capabilities/checks/preflight/inodes.ts';
import { memoryCheck } from '../../src/capabilities/checks/preflight/memory.ts';
import { portsCheck } from '../../src/capabilities/checks/preflight/ports.ts';
import {
  backupStorageCheck,
  certificateCheck,
  monitoringCheck,
} from '../../src/capabilities/checks/preflight/readiness.ts';
import { roomForTwoCheck } from '../../src/capabilities/checks/preflight/room-for-two.ts';
import { changelogCheck, cleanTreeCheck, names, tagCheck } from '../../src/capabilities/checks/preflight/source.ts';
import { subnetsCheck } from '../../src/capabilities/checks/preflight/subnets.ts';
import { dropsInput } from '../../src/host/firewall.ts';
import { parseGpus } from '../../src/host/gpu.ts';
import { parseListeners } from '../../src/host/ports.ts';
import { parseTimesync } from '../../src/host/time-sync.ts';
import { ApplianceError } from '../../src/lib/errors.ts';

const signal = new AbortController().signal;
const gigabyte = 1e9;
const disk =
  (free: number, total: number, freeInodes = 900, inodes = 1_000) =>
  async () => ({ directory: '/var', free, total, inodes, freeInodes });
const verdictOf = async (check: { look(signal: AbortSignal): Promise<{ verdict: string }> }) =>
  (await check.look(signal)).verdict;

describe('sizes of the host (S1-3, S0-4)', () => {
  it.each([
    ['4 of 4 processors', cpuCheck(() => 4, { id: 'S1-3', atLeast: 4 }), 'pass'],
    ['2 of 4 processors', cpuCheck(() => 2, { id: 'S1-3', atLeast: 4 }), 'fail'],
    ['16 GiB of 16 GB', memoryCheck(() => 16 * 2 ** 30, { id: 'S1-3', atLeast: 16 * gigabyte }), 'pass'],
    ['8 GiB of 16 GB', memoryCheck(() => 8 * 2 ** 30, { id: 'S1-3', atLeast: 16 * gigabyte }), 'fail'],
    [
      'room on a large disk',
      diskCheck(disk(20 * gigabyte, 200 * gigabyte), { id: 'S1-3', atLeast: 100 * gigabyte }),
      'pass',
    ],
    ['a small disk', diskCheck(disk(20 * gigabyte, 50 * gigabyte), { id: 'S1-3', atLeast: 100 * gigabyte }), 'fail'],
    ['a full disk', diskCheck(disk(0.5 * gigabyte, 200 * gigabyte), undefined), 'fail'],
    ['inodes', inodesCheck(disk(1, 1)), 'pass'],
    ['no inodes', inodesCheck(disk(1, 1, 50, 1_000)), 'fail'],
    ['a file system without inodes', inodesCheck(disk(1, 1, 0, 0)), 'pass'],
    ['two releases side by side', roomForTwoCheck(async () => ({ used: 1, available: 2 })), 'pass'],
    ['no room for two', roomForTwoCheck(async () => ({ used: 3, available: 2 })), 'fail'],
    ['a kernel that does not tell', roomForTwoCheck(async () => ({ used: 3, available: null })), 'inconclusive'],
  ])('%s', async (_, check, verdict) => {
    expect(await verdictOf(check)).toBe(verdict);
  });
});

describe('engine and Compose (S1-4, S1-5)', () => {
  it.each([
    ['20.10.24', '2.26.1', 'pass', 'pass'],
    ['19.03.1', '1.29.2', 'fail', 'fail'],
    ['?', '', 'inconclusive', 'inconclusive'],
  ])('%s and %s', async (engine, compose, first, second) => {
    const versions = async () => ({ engine, compose });
    expect([await verdictOf(engineCheck(versions)), await verdictOf(composeCheck(versions))]).toEqual([first, second]);
  });
});

describe('ports (S1-6, S1-27)', () => {
  const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 100 0 0 10 0
   2: 0100007F:9999 0100007F:0016 01 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0`;
  const hands = (wanted: string, ours: number[] = []) => ({
    wanted: { 'edge.http': wanted },
    listeners: async () => parseListeners(table),
    holderOf: async (inode: string) => (inode === '4711' ? 'nginx (pid 812)' : undefined),
    ours: async () => new Set(ours),
  });

  it('reads who listens out of the table of the kernel', () => {
    expect(parseListeners(table)).toEqual([
      { address: '127.0.0.1', port: 8080, inode: '4711' },
      { address: '0.0.0.0', port: 22, inode: '4712' },
    ]);
  });
  it('names who holds one', async () => {
    expect(await portsCheck(hands('8080')).look(signal)).toMatchObject({
      verdict: 'fail',
      observed: 'held: 8080 (edge.http) by nginx (pid 812)',
    });
  });
  it('passes what is free, what is ours and what another address has', async () => {
    expect(await verdictOf(portsCheck(hands('127.0.0.1:8081')))).toBe('pass');
    expect(await verdictOf(portsCheck(hands('8080', [8080])))).toBe('pass');
    expect(await verdictOf(portsCheck(hands('192.168.1.1:8080')))).toBe('pass');
  });
  it('does not guess whose a port is while the engine is silent', async () => {
    const silent = { ...hands('8080'), ours: () => Promise.reject(new Error('no engine')) };
    expect(await verdictOf(portsCheck(silent))).toBe('inconclusive');
  });
});

describe('the network (S0-4)', () => {
  it.each([
    ['-P INPUT DROP\n', true],
    ['-P INPUT ACCEPT\n-A INPUT -i lo -j ACCEPT\n-A INPUT -j REJECT --reject-with icmp-port-unreachable\n', true],
    ['-P INPUT ACCEPT\n-A INPUT -s 10.0.0.1/32 -j DROP\n', false],
    ['table inet filter { chain input { type filter hook input priority filter; policy drop; } }', true],
    ['table inet filter { chain input { type filter hook input priority filter; policy accept; } }', false],
  ])('%j drops what no rule allows: %s', (text, expected) => {
    expect(dropsInput(text)).toBe(expected);
  });
  it('asks no firewall about the loopback address', async () => {
    const never = () => Promise.reject(new Error('asked'));
    expect(await verdictOf(firewallCheck(never, ['127.0.0.1:80']))).toBe('pass');
    expect(await verdictOf(firewallCheck(async () => ({ filters: false, said: 'iptables' }), ['80']))).toBe('fail');
    expect(await verdictOf(firewallCheck(async () => ({ filters: null, said: 'not root' }), ['80']))).toBe(
      'inconclusive',
    );
  });
  it('tells an unknown name from silent name servers', async () => {
    const failing = (code: string) => () => Promise.reject(Object.assign(new Error(code), { code }));
    expect(await verdictOf(dnsCheck(['localhost'], failing('ECONNREFUSED')))).toBe('pass');
    expect(await verdictOf(dnsCheck(['a.example.org'], failing('ENOTFOUND')))).toBe('fail');
    expect(await verdictOf(dnsCheck(['a.example.org'], failing('ETIMEOUT')))).toBe('inconclusive');
    expect(
      await verdictOf(dnsCheck(['*.example.org'], async (name) => [name === 'example.org' ? '192.0.2.1' : ''])),
    ).toBe('pass');
  });
  it('a range that is used up fails, an engine that is silent does not', async () => {
    const full = () => Promise.reject(new ApplianceError('subnet_exhausted', 'no two networks are free'));
    expect(await verdictOf(subnetsCheck(full))).toBe('fail');
    await expect(subnetsCheck(() => Promise.reject(new Error('silent'))).look(signal)).rejects.toThrow('silent');
  });
});

describe('the clock (S0-4)', () => {
  const state = (offset: number | null, synchronised: boolean | null) => async () => ({
    offset,
    synchronised,
    source: 'no answer',
  });
  it.each([
    [0.02, true, 'pass'],
    [-4, true, 'fail'],
    [null, true, 'pass'],
    [null, false, 'inconclusive'],
    [null, null, 'inconclusive'],
  ])('%s s off, kernel %s: %s', async (offset, synchronised, verdict) => {
    expect(await verdictOf(clockCheck(state(offset, synchronised)))).toBe(verdict);
  });
  it('reads what timesyncd says', () => {
    expect(parseTimesync('       Server: 192.0.2.1\n       Offset: +1.5ms\n')).toBeCloseTo(-0.0015);
    expect(parseTimesync('       Offset: -2s\n')).toBe(2);
    expect(parseTimesync('nothing')).toBeUndefined();
  });
});

describe('GPUs where they are reserved (S0-4, S4-3)', () => {
  const card = 'NVIDIA L4, 550.54.15, 23034, 22500\n';
  it('reads reservations and cards', () => {
    const services = {
      api: { deploy: { resources: { reservations: { devices: [{ capabilities: ['gpu'], count: 2 }] } } } },
      db: {},
    };
    expect([reservedGpus(services), reservedGpus({ db: {} })]).toEqual([2, 0]);
    expect(parseGpus(card)).toEqual([
      { name: 'NVIDIA L4', driver: '550.54.15', memory: 23_034 * 2 ** 20, free: 22_500 * 2 ** 20 },
    ]);
  });
  it.each([
    [0, undefined, 'pass'],
    [1, undefined, 'fail'],
    [1, parseGpus(card), 'pass'],
    [2, parseGpus(card), 'fail'],
    [null, undefined, 'pass'],
  ])('%s reserved', async (reserved, found, verdict) => {
    expect(
      await verdictOf(
        gpuCheck(
          async () => reserved,
          async () => found,
        ),
      ),
    ).toBe(verdict);
  });
});

describe('the release', () => {
  const source = (changes: string[] | null, tags: string[], text: string | undefined) => ({
    changes: async () => changes,
    tags: async () => tags,
    changelog: async () => text,
  });
  it('a clean tree, its tag and its changelog (S0-5, S1-23)', async () => {
    const good = source([], ['v1.0'], '## v1.0\n');
    expect(await verdictOf(cleanTreeCheck(good))).toBe('pass');
    expect(await verdictOf(tagCheck(good, 'v1.0'))).toBe('pass');
    expect(await verdictOf(changelogCheck(good, 'v1.0'))).toBe('pass');
    const bad = source([' M app.py', '?? new'], [], '## v1.0.1\n');
    expect(await cleanTreeCheck(bad).look(signal)).toMatchObject({
      verdict: 'fail',
      observed: '2 changed: app.py, new',
    });
    expect(await verdictOf(tagCheck(bad, 'v1.0'))).toBe('fail');
    expect(await verdictOf(changelogCheck(bad, 'v1.0'))).toBe('fail');
    expect(await verdictOf(tagCheck(good, undefined))).toBe('inconclusive');
  });
  it.each([
    ['# v1.0-p2', 'v1.0-p2', true],
    ['# 1.0', 'v1.0', true],
    ['# v1.0-p2', 'v1.0', false],
    ['# v1.0.3', 'v1.0', false],
    ['The end of v1.0.', 'v1.0', true],
    ['# v11.0', 'v1.0', false],
  ])('%j names %s: %s', (text, tag, expected) => {
    expect(names(text, tag)).toBe(expected);
  });
  it('images below 500 MB (S0-9)', async () => {
    const wants = { id: 'S0-9', below: 500e6 };
    expect(await verdictOf(imageSizesCheck(async () => [{ service: 'api', bytes: 4e8 }], wants))).toBe('pass');
    expect(await verdictOf(imageSizesCheck(async () => [{ service: 'api', bytes: 6e8 }], wants))).toBe('fail');
    expect(await verdictOf(imageSizesCheck(async () => [], wants))).toBe('inconclusive');
  });
  it('certificate and monitoring are ready (S1-7)', async () => {
    const now = Date.UTC(2030, 0, 1);
    const until = (days: number, life = 90) =>
      certificateCheck(
        async () => [
          { domain: 'b', notBefore: now, notAfter: now + 90 * 86_400_000 },
          { domain: 'a', notBefore: now - (life - days) * 86_400_000, notAfter: now + days * 86_400_000 },
        ],
        () => now,
      );
    expect([await verdictOf(until(60)), await verdictOf(until(3)), await verdictOf(until(-1))]).toEqual([
      'pass',
      'fail',
      'fail',
    ]);
    // Of six days: renewed at half of them, and late when one is left.
    expect([await verdictOf(until(2, 6)), await verdictOf(until(0.5, 6))]).toEqual(['pass', 'fail']);
    expect(
      await verdictOf(
        certificateCheck(
          async () => [],
          () => now,
        ),
      ),
    ).toBe('inconclusive');
    expect([await verdictOf(monitoringCheck(true, 1)), await verdictOf(monitoringCheck(true, 0))]).toEqual([
      'pass',
      'fail',
    ]);
  });
  it.each<[string, Partial<Awaited<ReturnType<Parameters<typeof backupStorageCheck>[0]>>>]>([
    ['pass', {}],
    ['fail', { enabled: false }],
    ['fail', { writable: false }],
    ['fail', { free: gigabyte }],
  ])('storage for backups: %s (S1-7)', async (verdict, more) => {
    const storage = { enabled: true, directory: '/backups', writable: true, free: 50 * gigabyte, ...more };
    expect(await verdictOf(backupStorageCheck(async () => storage))).toBe(verdict);
  });
});
