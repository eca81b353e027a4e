import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import {
  exposedPortsCheck,
  mountsCheck,
  rootCheck,
  type SeenContainer,
} from '../../src/capabilities/checks/security/containers.ts';
import { missingHeaders } from '../../src/capabilities/checks/security/headers.ts';
import { isPrivate, metricsCheck } from '../../src/capabilities/checks/security/metrics.ts';
import { rateLimitCheck } from '../../src/capabilities/checks/security/rate-limit.ts';
import { tlsCheck } from '../../src/capabilities/checks/security/tls.ts';
import { vulnerabilitiesCheck } from '../../src/capabilities/checks/security/vulnerabilities.ts';

const signal = new AbortController().signal;
const container = (more: Partial<SeenContainer> = {}): SeenContainer => ({
  name: 'backend-1',
  role: 'app',
  uid: 1_000,
  privileged: false,
  mounts: [],
  published: [],
  ...more,
});
const seen =
  (...all: SeenContainer[]) =>
  async () =>
    all;

describe('what strangers see (S1-17, S1-18, S1-50, S2-32, S2-33, S3-13, S4-4)', () => {
  const headers = {
    'content-security-policy': "default-src 'self'",
    'strict-transport-security': 'max-age=31536000',
    'x-content-type-options': 'nosniff',
    'x-frame-options': 'DENY',
    'referrer-policy': 'no-referrer',
  };
  it('security headers', () => {
    expect(missingHeaders(headers, true)).toEqual([]);
    expect(
      missingHeaders({ ...headers, 'strict-transport-security': 'max-age=60', 'x-frame-options': undefined }, true),
    ).toEqual(['strict-transport-security is max-age=60', 'x-frame-options is missing']);
  });
  it.each([
    ['TLSv1.3', 'h2', null, 'pass'],
    ['TLSv1.3', 'http/1.1', null, 'fail'],
    ['TLSv1.3', 'h2', 'TLSv1.1', 'fail'],
    [null, '', null, 'fail'],
  ])('%s, %s, old %s: %s', async (now, alpn, old, verdict) => {
    const probe = async (version: string) => ({
      protocol: version === 'TLSv1.3' ? now : old,
      alpn,
      cipher: 'C',
      why: 'refused',
    });
    expect((await tlsCheck(probe).look(signal)).verdict).toBe(verdict);
  });
  it.each([
    [{ perSecond: 5, burst: 5 }, 12, 0, 'pass'],
    [{ perSecond: 5, burst: 5 }, 0, 0, 'fail'],
    [{ perSecond: 5, burst: 5 }, 0, 3, 'inconclusive'],
    [{ perSecond: 10_000, burst: 0 }, 0, 0, 'inconclusive'],
    [undefined, 0, 0, 'fail'],
  ])('a limit of %j that refuses %s, %s lost: %s', async (limit, limited, lost, verdict) => {
    const send = async (requests: number) => ({
      latencies: Array.from({ length: requests }, () => 0.01),
      failed: 0,
      lost,
      limited,
      refused: 0,
      seconds: 1,
    });
    expect((await rateLimitCheck(limit, send).look(signal)).verdict).toBe(verdict);
  });
  it.each([
    ['10.0.0.0/8', true],
    ['172.16.0.0/12', true],
    ['192.168.1.4', true],
    ['fd00::/8', true],
    ['0.0.0.0/0', false],
    ['10.0.0.0/7', false],
    ['203.0.113.0/24', false],
    ['::/0', false],
  ])('%s is private: %s', (range, expected) => {
    expect(isPrivate(range)).toBe(expected);
  });
  it('metrics of the application are behind no route', async () => {
    const answer = (status: number, text: string) =>
      metricsCheck(async () => ({ status, text, headers: {}, seconds: 0 }), ['10.0.0.0/8']).look(signal);
    expect((await answer(404, '')).verdict).toBe('pass');
    expect((await answer(200, '# HELP requests_total x\n')).verdict).toBe('fail');
  });
});

describe('what containers could do (S2-5, S2-30, S4-6, S0-4)', () => {
  const bind = (source: string, target: string, writable: boolean) => ({ type: 'bind', source, target, writable });
  it.each([
    ['a user', rootCheck(seen(container())), 'pass'],
    ['root', rootCheck(seen(container({ uid: 0 }))), 'fail'],
    ['root at the edge', rootCheck(seen(container(), container({ role: 'edge', uid: 0 }))), 'pass'],
    ['a privileged one', rootCheck(seen(container({ privileged: true }))), 'fail'],
    ['nobody knows who', rootCheck(seen(container({ uid: null }))), 'inconclusive'],
    ['nothing', rootCheck(seen()), 'inconclusive'],
    ['models read-only', mountsCheck(seen(container({ mounts: [bind('/models', '/app/models', false)] }))), 'pass'],
    ['models writable', mountsCheck(seen(container({ mounts: [bind('/models', '/app/models', true)] }))), 'fail'],
    [
      'the socket of the engine',
      mountsCheck(seen(container({ role: 'core', mounts: [bind('/var/run/docker.sock', '/d.sock', false)] }))),
      'fail',
    ],
    [
      'the edge',
      exposedPortsCheck(seen(container({ role: 'edge', published: ['0.0.0.0:443', '[::]:443'] })), ['443', '80']),
      'pass',
    ],
    ['a database for everybody', exposedPortsCheck(seen(container({ published: ['0.0.0.0:5432'] })), ['443']), 'fail'],
    [
      'a database for this host',
      exposedPortsCheck(seen(container({ published: ['127.0.0.1:5432'] })), ['443']),
      'pass',
    ],
  ])('%s', async (_, check, verdict) => {
    expect((await check.look(signal)).verdict).toBe(verdict);
  });
});

describe('a scanner of vulnerabilities (S0-8, S0-20, S4-22)', () => {
  const bin = mkdtempSync(join(tmpdir(), 'scanner-'));
  afterAll(() => rmSync(bin, { recursive: true }));
  const scan = async (name: string | undefined, body = '', timeout = 20_000) => {
    for (const other of ['trivy', 'grype']) rmSync(join(bin, other), { force: true });
    if (name) {
      writeFileSync(join(bin, name), `#!/bin/sh\n${body}\n`);
      chmodSync(join(bin, name), 0o755);
    }
    const path = process.env.PATH;
    process.env.PATH = name ? `${bin}:/usr/bin:/bin` : bin;
    try {
      return await vulnerabilitiesCheck(async () => [{ service: 'backend', image: 'sha256:a' }], timeout).look(signal);
    } finally {
      process.env.PATH = path;
    }
  };
  it('that is absent is inconclusive', async () => {
    expect(await scan(undefined)).toMatchObject({ verdict: 'inconclusive', observed: 'no scanner is installed' });
  });
  it('that finds nothing passes, one that finds something critical fails', async () => {
    expect(await scan('trivy', `echo '{"Results":[{"Vulnerabilities":null}]}'`)).toMatchObject({ verdict: 'pass' });
    expect(await scan('trivy', `echo '{"Results":[{"Vulnerabilities":[{"VulnerabilityID":"CVE-1"}]}]}'`)).toMatchObject(
      { verdict: 'fail', observed: 'backend: CVE-1' },
    );
    const matches = `{"matches":[{"vulnerability":{"id":"CVE-2","severity":"Critical"}},{"vulnerability":{"id":"CVE-3","severity":"Low"}}]}`;
    expect(await scan('grype', `echo '${matches}'`)).toMatchObject({ verdict: 'fail', observed: 'backend: CVE-2' });
  });
  it('that fails or hangs has seen nothing', async () => {
    await expect(scan('trivy', 'echo no database >&2; exit 1')).rejects.toThrow('no database');
    await expect(scan('trivy', 'sleep 60', 300)).rejects.toMatchObject({ code: 'timeout' });
  });
});
