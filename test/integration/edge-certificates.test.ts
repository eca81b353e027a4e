import { writeFileSync } from 'node:fs';
import { mkdir, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { InstallCertificateArgs } from '../../src/capabilities/traffic/certificates/install.ts';
import { handshake } from '../../src/host/handshake.ts';
import { run } from '../../src/host/process.ts';
import { certificateDirectory, serialText } from '../../src/lib/certificates.ts';
import { ask } from './edge-clients.ts';
import { awaitEdge, context, docker, type EdgeLab, openLab } from './edge-lab.ts';
import { type Authority, layPair, newAuthority, type Pair } from './edge-pair.ts';

// S1-49: certificates for both domains. S1-50: HTTPS answers, and by HTTP/2. S2-29: they renew by themselves.
describe('certificates in the edge (S1-49, S1-50, S2-29)', () => {
  let lab: EdgeLab;
  let authority: Authority;
  const overrides = {
    edge: { domains: ['a.example.org', '*.example.net', 'b.example.org'], redirect: 'never' },
    certificates: {
      sets: [
        { name: 'main', domains: ['a.example.org', '*.example.net'] },
        { name: 'other', domains: ['b.example.org'] },
      ],
    },
  };
  const domainsOf = { main: ['a.example.org', '*.example.net'], other: ['b.example.org'] } as const;
  type Set = keyof typeof domainsOf;
  const topologies = () => lab.topologies({ blue: { release: 'v1', addresses: [lab.address('blue', 11)] } });

  /** A version on disk, and what the step is told of it. */
  const version = async (set: Set, name: string, from: string | null, pair?: Pair): Promise<InstallCertificateArgs> => {
    const issued = pair ?? (await authority.issue(domainsOf[set]));
    await layPair(lab.paths, set, name, issued);
    return { set, version: name, from, serial: issued.serial, domains: domainsOf[set] };
  };
  const install = (args: InstallCertificateArgs) => lab.traffic.installCertificate.bind(args).apply(context());
  const inForce = (set: Set) => readlink(join(certificateDirectory(lab.paths, set), 'current'));
  const shown = async (name: string) => {
    const { certificate } = await handshake(
      {
        host: '127.0.0.1',
        port: lab.options.https,
        name,
        version: 'TLSv1.3',
        protocol: 'h2',
        timeout: 10_000,
      },
      AbortSignal.timeout(20_000),
    );
    return certificate;
  };
  const serialShown = async (name: string) => serialText((await shown(name)).serialNumber);

  beforeAll(async () => {
    authority = await newAuthority();
    lab = await openLab({ name: 'certificates', net: 78, http: 18178, https: 18179, config: overrides });
    await lab.startRelease('blue', 'v1', 11);
  });
  afterAll(() => lab?.close());

  test('before the first release: a certificate is installed all the same, and the challenge is answered', async () => {
    expect((await shown('a.example.org')).subject).toBe('CN=appliance');
    await writeFile(join(lab.paths.edge, 'acme', 'token-1'), 'token-1.thumbprint');
    const challenge = `${lab.url}/.well-known/acme-challenge/token-1`;
    const bootstrap = await ask(challenge, { headers: { host: 'a.example.org' } });
    expect([bootstrap.status, bootstrap.body]).toEqual([200, 'token-1.thumbprint']);
    const first = await version('main', 'v1', null);
    expect(await install(first)).toBe(`a.example.org, *.example.net served with ${first.serial}`);
    expect(await serialShown('a.example.org')).toBe(first.serial);
    expect((await ask(`${lab.secureUrl}/`, { headers: { host: 'a.example.org' } })).status).toBe(503);
    // Nothing was installed for the other, which nginx needs a pair for nevertheless.
    expect((await shown('b.example.org')).subject).toBe('CN=appliance');
    const later = await ask(challenge, { headers: { host: 'unknown.example.com' } });
    expect([later.status, later.body]).toEqual([200, 'token-1.thumbprint']);
    await lab.configure(topologies());
    await lab.shift('blue', 'blue', 'v1');
  });

  test('each name gets its own certificate; who asks for an address the first; who asks for another name nothing', async () => {
    const other = await version('other', 'v1', null);
    await install(other);
    const main = await lab.traffic.served('a.example.org');
    expect(await lab.traffic.served('b.example.org')).toBe(other.serial);
    expect(main).not.toBe(other.serial);
    expect(await serialShown('deep.example.net')).toBe(main);
    expect(await serialShown('127.0.0.1')).toBe(main);
    await expect(shown('evil.example.com')).rejects.toThrow(/unrecognized name/i);
  });

  test('a renewal changes what is served, without another configuration', async () => {
    const { generation } = await lab.traffic.status();
    const second = await version('main', 'v2', 'v1');
    await install(second);
    expect(await serialShown('a.example.org')).toBe(second.serial);
    expect((await lab.traffic.status()).generation).toBe(generation);
    expect(await lab.traffic.installCertificate.bind(second).verify?.(context())).toMatchObject({ verdict: 'pass' });
    // Run again, as after a crash at its end.
    await install(second);
    const rsa = await version('main', 'v3', 'v2', await authority.issue(domainsOf.main, 'rsa'));
    await install(rsa);
    expect(await serialShown('a.example.org')).toBe(rsa.serial);
    await lab.traffic.installCertificate.bind(rsa).undo?.(context());
    expect([await inForce('main'), await serialShown('a.example.org')]).toEqual(['v2', second.serial]);
    await expect(lab.traffic.installCertificate.bind(rsa).verify?.(context())).resolves.toMatchObject({
      verdict: 'fail',
      observed: 'in force is main/v2',
    });
  });

  test('a key of another certificate is refused before anything is touched', async () => {
    const [one, two] = [await authority.issue(domainsOf.main), await authority.issue(domainsOf.main)];
    const mixed = await version('main', 'mixed', 'v2', { ...one, key: two.key });
    await expect(install(mixed)).rejects.toMatchObject({
      code: 'certificate_invalid',
      message: 'the private key does not belong to the certificate',
    });
    await expect(install({ ...mixed, version: 'absent' })).rejects.toMatchObject({ code: 'certificate_invalid' });
    const good = await version('main', 'renamed', 'v2');
    await expect(install({ ...good, serial: 'ABCD' })).rejects.toMatchObject({ code: 'certificate_invalid' });
    expect(await inForce('main')).toBe('v2');
  });

  test('what nginx refuses is never in force', async () => {
    const pair = await authority.issue(domainsOf.main);
    const chain = `${pair.chain}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`;
    const bad = await version('main', 'bad', 'v2', { ...pair, chain });
    await expect(install(bad)).rejects.toMatchObject({ code: 'edge_refused', message: expect.stringContaining('PEM') });
    expect(await inForce('main')).toBe('v2');
    expect((await ask(`${lab.url}/`)).status).toBe(200);
  });

  test('nginx goes on with the old pair: it comes back, is proven, and the error says what was seen and why', async () => {
    const before = await serialShown('a.example.org');
    const next = await version('main', 'v4', 'v2');
    const key = join(certificateDirectory(lab.paths, 'main'), 'v4', 'key.pem');
    // Between `nginx -t` and the reload the key becomes unusable.
    const meddling = { ...context(), progress: () => writeFileSync(key, 'no key') };
    await expect(lab.traffic.installCertificate.bind(next).apply(meddling)).rejects.toMatchObject({
      code: 'certificate_not_served',
      message: expect.stringMatching(new RegExp(`does not serve ${next.serial}: .*cannot load certificate key`)),
      left: `${before} is back in force, and served`,
    });
    expect([await inForce('main'), await serialShown('a.example.org')]).toEqual(['v2', before]);
  });

  test('a name that is answered with another certificate: the old pair comes back, and the error says what was seen', async () => {
    const before = await serialShown('a.example.org');
    const served = await serialShown('b.example.org');
    const third = await version('main', 'v4-again', 'v2');
    // A name that the edge answers with another certificate.
    const step = lab.traffic.installCertificate.bind({ ...third, domains: ['b.example.org'] });
    await expect(step.apply(context())).rejects.toMatchObject({
      code: 'certificate_not_served',
      message: expect.stringMatching(
        new RegExp(
          `b\\.example\\.org by TLS 1\\.\\d and \\S+ on 127.0.0.1:18179 shows the serial number ${served}, not`,
        ),
      ),
      left: expect.stringContaining(before),
    });
    expect([await inForce('main'), await serialShown('a.example.org')]).toEqual(['v2', before]);
  });

  test('a set that the configuration does not have yet is not installed', async () => {
    await mkdir(join(certificateDirectory(lab.paths, 'third')), { recursive: true });
    const pair = await authority.issue(['c.example.org']);
    await layPair(lab.paths, 'third', 'v1', pair);
    const args = { set: 'third', version: 'v1', from: null, serial: pair.serial, domains: ['c.example.org'] };
    await expect(install(args)).rejects.toMatchObject({ code: 'certificate_not_served', hint: /appliance up/ });
  });

  test('killed between any two actions: one whole pair is served, also by an edge that starts anew; then it is finished', async () => {
    const old = await serialShown('a.example.org');
    const next = await version('main', 'v5', 'v2');
    const child = (killAt: number) =>
      run(
        process.execPath,
        [
          join(import.meta.dirname, 'edge-install-child.ts'),
          JSON.stringify({ config: lab.written, root: lab.root, container: lab.container, args: next, killAt }),
        ],
        { timeout: 90_000 },
      );
    const ended: string[] = [];
    for (let killAt = 1; ; killAt += 1) {
      const { exitCode, stdout, stderr } = await child(killAt).catch(() => ({ exitCode: -1, stdout: '', stderr: '' }));
      if (exitCode === 0) break;
      expect(stderr).toBe('');
      expect(stdout).toBe('');
      expect([old, next.serial]).toContain(await serialShown('a.example.org'));
      await docker('restart', '-t', '1', lab.container);
      await awaitEdge(lab.traffic);
      const after = await serialShown('a.example.org');
      expect(after).toBe((await inForce('main')) === 'v5' ? next.serial : old);
      ended.push(await inForce('main'));
    }
    expect(new Set(ended)).toEqual(new Set(['v2', 'v5']));
    expect(ended.length).toBeGreaterThanOrEqual(5);
    expect([await inForce('main'), await serialShown('a.example.org')]).toEqual(['v5', next.serial]);
  });

  test('a pair that is damaged on disk does not keep the edge from starting; the next installation repairs it', async () => {
    await writeFile(join(certificateDirectory(lab.paths, 'main'), 'v5', 'key.pem'), 'no key');
    await docker('restart', '-t', '1', lab.container);
    await awaitEdge(lab.traffic);
    expect(await inForce('main')).toBe('../self-signed');
    expect((await ask(`${lab.url}/`)).headers['x-appliance-release']).toBe('v1');
    expect((await shown('a.example.org')).subject).toBe('CN=appliance');
    expect(await serialShown('b.example.org')).toBe(await lab.traffic.served('b.example.org'));
    const repaired = await version('main', 'v6', null);
    await install(repaired);
    expect(await serialShown('a.example.org')).toBe(repaired.serial);
  });

  test('an edge that does not run: nothing is changed, and taking back needs no edge', async () => {
    const next = await version('main', 'v7', 'v6');
    await docker('stop', '-t', '1', lab.container);
    await expect(install(next)).rejects.toMatchObject({ code: 'edge_unreachable' });
    expect(await inForce('main')).toBe('v6');
    expect(await lab.traffic.served('a.example.org')).toBeUndefined();
    await lab.traffic.installCertificate.bind(next).undo?.(context());
    await docker('start', lab.container);
    await awaitEdge(lab.traffic);
    await install(next);
    await lab.traffic.installCertificate.bind({ ...next, from: 'v6' }).undo?.(context());
    expect(await inForce('main')).toBe('v6');
  });
});
