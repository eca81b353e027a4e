import { createPrivateKey } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkPair, readChain } from '../../src/capabilities/certificates/chain.ts';
import { dnsResponder } from '../../src/capabilities/certificates/challenges.ts';
import { newKey, selfSigned } from '../../src/capabilities/certificates/self-signed.ts';
import { CertificateStore } from '../../src/capabilities/certificates/store.ts';
import { parseConfig } from '../../src/config/load.ts';
import { serialText } from '../../src/lib/certificates.ts';
import { pathsFor } from '../../src/lib/paths.ts';
import { type Signed, sign } from '../support/chains.ts';

const day = 86_400_000;
const now = Date.now();
const span = { from: now - day, until: now + 90 * day };
let root: Signed;
let middle: Signed;
let leaf: Signed;
let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pair-'));
  root = await sign({ name: 'root', ...span });
  middle = await sign({ name: 'middle', by: root, ...span });
  leaf = await sign({ name: 'leaf', by: middle, domains: ['shop.example', '*.shop.example'], ...span });
});
afterAll(() => rm(directory, { recursive: true, force: true }));

const check = (key: string, chain: string, names: readonly string[] = ['shop.example'], at = now): void =>
  checkPair(key, readChain(chain, 'chain.pem'), names, at);

describe('a key and a chain that somebody brings', () => {
  test('fit: with one that signed it, with all of them, in any name that is covered', () => {
    check(leaf.key, leaf.certificate + middle.certificate);
    check(leaf.key, leaf.certificate + middle.certificate + root.certificate, ['shop.example', 'www.shop.example']);
  });

  test('say who they are', () => {
    expect(readChain(leaf.certificate, 'x')).toMatchObject({
      domains: ['shop.example', '*.shop.example'],
      issuer: 'middle',
      selfSigned: false,
      notAfter: Math.floor(span.until / 1_000) * 1_000,
    });
    expect(serialText('00:0a:Bc')).toBe('ABC');
  });

  test('are refused where they would not work', async () => {
    const other = await sign({ name: 'leaf', by: root, domains: ['shop.example'], ...span });
    const ended = await sign({
      name: 'old',
      by: middle,
      domains: ['shop.example'],
      from: now - 9 * day,
      until: now - day,
    });
    const future = await sign({
      name: 'new',
      by: middle,
      domains: ['shop.example'],
      from: now + day,
      until: now + 9 * day,
    });
    const endedMiddle = await sign({ name: 'ended', by: root, from: now - 9 * day, until: now - day });
    const below = await sign({ name: 'below', by: endedMiddle, domains: ['shop.example'], ...span });
    const chain = leaf.certificate + middle.certificate;
    const cases: readonly (readonly [() => void, RegExp])[] = [
      [() => check(other.key, chain), /the key does not belong/],
      [() => check(leaf.key, leaf.certificate), /not complete: middle, which signed/],
      [() => check(leaf.key, leaf.certificate + root.certificate), /has a gap: root did not sign leaf/],
      [() => check(leaf.key, leaf.certificate + root.certificate + middle.certificate), /has a gap/],
      [() => check(leaf.key, chain, ['shop.example', 'other.example']), /does not cover other\.example/],
      [() => check(ended.key, ended.certificate + middle.certificate), /has ended at/],
      [() => check(future.key, future.certificate + middle.certificate), /begins only at/],
      [() => check(below.key, below.certificate + endedMiddle.certificate), /ended in the chain has ended/],
      [() => check('no key', chain), /no private key in PEM/],
      [() => check(leaf.key, leaf.key), /holds no certificate/],
      [() => check(leaf.key, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----'), /cannot be read/],
    ];
    for (const [work, message] of cases)
      expect(work).toThrow(
        expect.objectContaining({ code: 'certificate_invalid', message: expect.stringMatching(message) }),
      );
  });

  test('with a passphrase: says how to take it off, and shows nothing of it', () => {
    const locked = createPrivateKey(leaf.key).export({
      type: 'pkcs8',
      format: 'pem',
      cipher: 'aes-256-cbc',
      passphrase: 'planted',
    });
    expect(() => check(locked.toString(), leaf.certificate + middle.certificate)).toThrow(
      expect.objectContaining({
        message: 'the key is protected by a passphrase',
        hint: expect.stringContaining('openssl pkey'),
      }),
    );
  });
});

describe('versions on disk', () => {
  const meta = { kind: 'self-signed', source: null, directory: null } as const;

  test('are whole, immutable, closed to others, and pruned but for the one in force', async () => {
    const paths = pathsFor(join(directory, 'a'));
    const store = new CertificateStore(paths);
    const add = async (at: number) =>
      store.add('edge', { ...(await selfSigned(['shop.example'], now)), meta }, ['shop.example'], at);
    const first = await add(now);
    await store.adoptFirst(first);
    for (let index = 1; index < 7; index += 1) await add(now + index * 1_000);
    await store.prune('edge');
    expect(await store.current('edge')).toMatchObject({ version: first.version });
    expect((await store.list('edge')).length).toBe(4);
    expect((await stat(first.keyPath)).mode & 0o777).toBe(0o600);
    expect((await stat(join(paths.edge, 'certs'))).mode & 0o777).toBe(0o700);
    await store.adoptFirst({ set: 'edge', version: '20990101T000000Z-00000000' });
    expect((await store.current('edge'))?.version).toBe(first.version);
  });

  test('the same certificate twice is one version', async () => {
    const store = new CertificateStore(pathsFor(join(directory, 'b')));
    const pair = await selfSigned(['shop.example'], now);
    const first = await store.add('edge', { ...pair, meta }, ['shop.example'], now);
    const again = await store.add(
      'edge',
      { ...pair, meta: { ...meta, kind: 'imported' } },
      ['shop.example'],
      now + day,
    );
    expect(again).toMatchObject({ version: first.version, kind: 'imported' });
  });

  test('a stand-in of the edge, half a version and a damaged one are none', async () => {
    const paths = pathsFor(join(directory, 'c'));
    const store = new CertificateStore(paths);
    const at = join(paths.edge, 'certs/edge');
    await mkdir(join(at, '.0123456789ab.new'), { recursive: true });
    await symlink('../self-signed', join(at, 'current'));
    expect(await store.current('edge')).toBeUndefined();
    await store.sweep('edge');
    expect(await readdir(at)).toEqual(['current']);
    const stored = await store.add(
      'edge',
      { ...(await selfSigned(['shop.example'], now)), meta },
      ['shop.example'],
      now,
    );
    await store.adoptFirst(stored);
    expect(await readlink(join(at, 'current'))).toBe(stored.version);
    await rm(stored.keyPath);
    await expect(store.current('edge')).rejects.toMatchObject({ code: 'state_corrupt' });
    expect(await store.list('edge')).toEqual([]);
  });

  test('keys are of the type that is asked for', async () => {
    const kinds = await Promise.all(
      (['ec-p256', 'ec-p384', 'rsa-2048'] as const).map(async (type) => createPrivateKey(await newKey(type))),
    );
    expect(
      kinds.map(({ asymmetricKeyDetails }) => asymmetricKeyDetails?.namedCurve ?? asymmetricKeyDetails?.modulusLength),
    ).toEqual(['prime256v1', 'secp384r1', 2048]);
  });
});

describe('the DNS hook', () => {
  const answer = { name: '*.shop.example', type: 'dns-01', token: 't', value: '$(touch /tmp/owned) "x"' } as const;
  const hookOf = async (name: string, text: string, mode = 0o755): Promise<string> => {
    const path = join(directory, name);
    await writeFile(path, text);
    await chmod(path, mode);
    return path;
  };
  const { signal } = new AbortController();

  test('is given what it needs as data, never to a shell', async () => {
    const out = join(directory, 'seen');
    const hook = await hookOf(
      'good',
      `#!/bin/sh\nprintf '%s|' "$1" "$ACME_DOMAIN" "$ACME_RECORD" "$ACME_VALUE" >'${out}'\n`,
    );
    await dnsResponder(hook, 10_000).present(answer, signal);
    expect(await readFile(out, 'utf8')).toBe(
      'present|shop.example|_acme-challenge.shop.example|$(touch /tmp/owned) "x"|',
    );
  });

  test('that fails, hangs, is missing or open to others stops the attempt with a reason', async () => {
    const refusal = async (hook: string, timeout = 10_000) =>
      dnsResponder(hook, timeout)
        .present(answer, signal)
        .catch((error: unknown) => error);
    expect(await refusal(await hookOf('bad', '#!/bin/sh\necho "no such zone" >&2\nexit 3\n'))).toMatchObject({
      code: 'certificate_refused',
      message: expect.stringContaining('it ended with 3: no such zone'),
    });
    expect(await refusal(await hookOf('slow', '#!/bin/sh\nsleep 60\n'), 300)).toMatchObject({
      message: expect.stringContaining('took longer'),
    });
    expect(await refusal(join(directory, 'none'))).toMatchObject({ code: 'config_missing' });
    expect(await refusal(await hookOf('open', '#!/bin/sh\n', 0o777))).toMatchObject({ code: 'config_invalid' });
    expect(await refusal(await hookOf('plain', '#!/bin/sh\n', 0o644))).toMatchObject({ code: 'config_invalid' });
  });
});

describe('appliance.yaml', () => {
  const base = (more: string): string =>
    `name: shop\nsource: { repository: /srv/shop.git }\nservices:\n  web: { role: app }\nroutes:\n  - { path: /, service: web, port: 8000 }\n${more}`;
  const problems = (more: string): string[] => parseConfig(base(more)).problems.map(({ message }) => message);

  test.each([
    ['edge: { domains: ["*.shop.example"] }\ncertificates: {}\n', 'HTTP-01 cannot prove'],
    ['edge: { domains: ["192.0.2.1"] }\ncertificates: {}\n', 'is an IP address'],
    [
      `edge: { domains: [${Array.from({ length: 101 }, (_, n) => `n${n}.example`).join(', ')}] }\ncertificates: {}\n`,
      '101 names',
    ],
    [
      'edge: { domains: ["*.shop.example"] }\ncertificates: { acme: { challenge: dns-01 } }\n',
      'dns-01 needs a program',
    ],
    [
      'edge: { domains: [a.example] }\ncertificates: { sets: [{ name: a, domains: [a.example] }, { name: a, domains: [b.example] }] }\n',
      'two certificates called a',
    ],
    [
      'edge: { domains: [a.example] }\ncertificates: { sets: [{ name: a, domains: [a.example] }, { name: b, domains: [A.example] }] }\n',
      'is in a already',
    ],
    [
      'edge: { domains: [a.example, b.example] }\ncertificates: { sets: [{ name: a, domains: [a.example] }] }\n',
      'no certificate is for b.example',
    ],
    ['certificates: { sets: [{ name: self-signed, domains: [localhost] }] }\n', 'choose another name'],
    ['certificates: { acme: { directory: "http://ca.example/dir" } }\n', 'https://'],
  ])('%s is refused before an attempt', (more, message) => {
    expect(problems(more).join('\n')).toContain(message);
  });

  test('good ones', () => {
    expect(
      problems('edge: { domains: [bücher.example] }\ncertificates: { acme: { email: ops@shop.example } }\n'),
    ).toEqual([]);
    expect(problems('edge: { domains: ["*.shop.example"] }\ncertificates: { issuer: imported }\n')).toEqual([]);
  });
});
