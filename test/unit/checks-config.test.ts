import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  envModeCheck,
  leftoversCheck,
  neverCommittedCheck,
  secretFilesCheck,
} from '../../src/capabilities/checks/config/env-file.ts';
import { leaksIn } from '../../src/capabilities/checks/config/leak-patterns.ts';
import { scanForLeaks } from '../../src/capabilities/checks/config/leak-scan.ts';
import { modelDirectoryCheck } from '../../src/capabilities/checks/config/model-directory.ts';
import { secretAgeCheck } from '../../src/capabilities/checks/config/secret-age.ts';
import { secretDefaultsCheck } from '../../src/capabilities/checks/config/secret-defaults.ts';
import { secretStrengthCheck, weakness } from '../../src/capabilities/checks/config/secret-strength.ts';
import { secretsInHistoryCheck, secretsInTreeCheck } from '../../src/capabilities/checks/config/secrets-in-source.ts';
import {
  corsCheck,
  isProductionOrigin,
  keysCheck,
  ldapCheck,
  logLevelCheck,
  redisCheck,
} from '../../src/capabilities/checks/config/settings.ts';

const signal = new AbortController().signal;
const look = async (check: { look(signal: AbortSignal): Promise<{ verdict: string; observed: string }> }) =>
  check.look(signal);
const values = (all: Record<string, string>) => async () => all;
const strong = '7f3a91c05be2d84f6a1b09c7e5d23f48';

describe('secrets (S1-8, S1-15, S0-17, S2-28)', () => {
  it.each([
    ['JWT_SECRET', strong, undefined],
    ['JWT_SECRET', strong.slice(1), 'has 31 characters instead of 32'],
    ['REDIS_PASSWORD', 'Tr0ub4dor&3x', undefined],
    ['REDIS_PASSWORD', 'short', 'has 5 characters instead of 12'],
    ['REDIS_PASSWORD', 'aaaaaaaaaaaaaaaa', 'repeats itself'],
  ])('%s=%s', (key, value, why) => {
    expect(weakness(key, value)).toBe(why);
  });
  it('never repeats a weak value, and takes times and addresses for no secrets', async () => {
    const seen = await look(
      secretStrengthCheck(values({ JWT_SECRET: 'sh0rt!', JWT_TTL_SECONDS: '3600', API_TOKEN_URL: 'https://a' })),
    );
    expect(seen).toMatchObject({ verdict: 'fail', observed: 'JWT_SECRET has 6 characters instead of 32' });
    expect((await look(secretStrengthCheck(values({})))).verdict).toBe('inconclusive');
  });
  it.each([
    'changeme',
    'your-secret-key-here',
    'admin',
    'CHANGE_ME_PLEASE_NOW',
    'change-this-in-production',
    'xxxxxxxx',
  ])('%s is a default', async (value) => {
    const check = secretDefaultsCheck(values({ JWT_SECRET: value }), values({}));
    expect(await look(check)).toMatchObject({ verdict: 'fail', observed: 'JWT_SECRET' });
  });
  it('the value of the example file is one too (S1-15)', async () => {
    const own = values({ DEMO_PASSWORD: strong });
    expect((await look(secretDefaultsCheck(own, values({ DEMO_PASSWORD: strong })))).verdict).toBe('fail');
    expect((await look(secretDefaultsCheck(own, () => Promise.reject(new Error('none'))))).verdict).toBe('pass');
  });
  it('91 days are too old, 89 are not', async () => {
    const aged = (days: number) =>
      secretAgeCheck(
        async () => new Map([['JWT_SECRET', 0]]),
        () => days * 86_400_000,
      );
    expect(await look(aged(89))).toMatchObject({ verdict: 'pass' });
    expect(await look(aged(91))).toMatchObject({ verdict: 'fail', observed: 'JWT_SECRET 91 days' });
  });
});

describe('files (S1-14, S0-6, S0-16, S0-18, S1-32, S2-30)', () => {
  const facts =
    (mode: number, uid = 0) =>
    async () => ({ mode, uid });
  it.each([
    ['600 of root', facts(0o100600), 'pass'],
    ['400 of root', facts(0o100400), 'pass'],
    ['640', facts(0o100640), 'fail'],
    ['600 of a stranger', facts(0o100600, 1_001), 'fail'],
    ['none', async () => undefined, 'fail'],
  ])('an environment file, %s', async (_, stat, verdict) => {
    expect((await look(envModeCheck('/etc/a.env', stat, 0))).verdict).toBe(verdict);
  });
  it('secrets of receivers are for their owner alone', async () => {
    expect((await look(secretFilesCheck(async () => ['/a'], facts(0o100600)))).verdict).toBe('pass');
    expect(await look(secretFilesCheck(async () => ['/a'], facts(0o100644)))).toMatchObject({
      verdict: 'fail',
      observed: '/a 644',
    });
  });
  it('no environment file was ever committed; examples may be', async () => {
    const committed = (...paths: string[]) => neverCommittedCheck('/etc/shop.env', async () => paths);
    expect((await look(committed('.env.example', 'src/environment.ts', '.envrc-docs/readme'))).verdict).toBe('pass');
    expect(await look(committed('api/.env.production', 'deploy/shop.env'))).toMatchObject({
      verdict: 'fail',
      observed: 'api/.env.production, deploy/shop.env',
    });
  });
  it('no copy lies beside it', async () => {
    const beside = (...names: string[]) => leftoversCheck('/etc/shop.env', async () => names);
    expect((await look(beside('shop.env', 'appliance.yaml', 'other.bak'))).verdict).toBe('pass');
    expect(await look(beside('shop.env', 'shop.env.bak', '.shop.env.swp', 'shop.env~'))).toMatchObject({
      verdict: 'fail',
    });
  });
  it('nobody else can change a model (S0-14, S1-32, S2-30)', async () => {
    const entry = (path: string, mode: number, uid = 0) => ({ path, directory: path === '.', mode, uid });
    const check = (...entries: ReturnType<typeof entry>[]) => look(modelDirectoryCheck(async () => entries));
    expect((await check(entry('.', 0o755), entry('a', 0o644))).verdict).toBe('pass');
    expect((await check(entry('.', 0o755), entry('a', 0o666))).observed).toBe('a 666');
    expect((await check(entry('.', 0o700), entry('a', 0o644))).verdict).toBe('fail');
    expect((await check(entry('.', 0o755), entry('a', 0o644, 7))).observed).toBe('owned by users 0, 7');
  });
});

describe('settings (S1-9 to S1-13, S2-31, S0-7)', () => {
  it.each([
    ['https://shop.example.org', true],
    ['*', false],
    ['http://shop.example.org', false],
    ['https://localhost:3000', false],
    ['https://192.168.1.4', false],
    ['https://a.local', false],
  ])('origin %s: %s (S1-10)', (origin, expected) => {
    expect(isProductionOrigin(origin)).toBe(expected);
  });
  it.each([
    ['no CORS', corsCheck(values({ CORS_ORIGINS: '' })), 'pass'],
    ['CORS for all', corsCheck(values({ CORS_ORIGINS: '["https://a.org", "*"]' })), 'fail'],
    ['INFO', logLevelCheck(values({ LOG_LEVEL: 'INFO' })), 'pass'],
    ['debug', logLevelCheck(values({ LOG_LEVEL: 'debug' })), 'fail'],
    ['no level', logLevelCheck(values({})), 'inconclusive'],
    ['no LDAP', ldapCheck(values({})), 'pass'],
    ['LDAP', ldapCheck(values({ LDAP_SERVER: 'ldaps://a', LDAP_BASE_DN: 'dc=a' })), 'pass'],
    ['LDAP without base', ldapCheck(values({ AUTH_BACKEND: 'ldap', LDAP_SERVER: 'ldaps://a' })), 'fail'],
    ['LDAP in the clear', ldapCheck(values({ LDAP_SERVER: 'ldap://a', LDAP_BASE_DN: 'dc=a' })), 'fail'],
    ['Redis with a password', redisCheck(values({ REDIS_URL: 'redis://:pw@redis:6379' }), undefined), 'pass'],
    ['Redis without', redisCheck(values({ REDIS_URL: 'redis://redis:6379' }), undefined), 'fail'],
    [
      'Redis without TLS where it must',
      redisCheck(values({ REDIS_URL: 'redis://:pw@redis' }), { id: 'S2-31', tls: true }),
      'fail',
    ],
    ['Redis with TLS', redisCheck(values({ REDIS_URL: 'rediss://:pw@redis' }), { id: 'S2-31', tls: true }), 'pass'],
  ])('%s', async (_, check, verdict) => {
    expect((await look(check)).verdict).toBe(verdict);
  });
  it('asks for the keys of a policy, under either name, with the value that it wants', async () => {
    const demands = [
      { id: 'S1-8', key: 'JWT_SECRET', or: ['SECRET_KEY'] },
      { id: 'S1-11', key: 'ENVIRONMENT', or: [], equals: 'production' },
      { id: 'S1-12', key: 'LDAP_BASE_DN', or: [], where: 'LDAP_' },
    ];
    expect((await look(keysCheck(values({ SECRET_KEY: 'x', ENVIRONMENT: 'Production' }), demands))).verdict).toBe(
      'pass',
    );
    expect(await look(keysCheck(values({ ENVIRONMENT: 'staging', LDAP_SERVER: 'a' }), demands))).toMatchObject({
      verdict: 'fail',
      observed:
        'JWT_SECRET or SECRET_KEY is not set (S1-8); ENVIRONMENT is not production (S1-11); LDAP_BASE_DN is not set (S1-12)',
    });
  });
});

describe('secrets in the source (S1-16, S2-3, S3-2)', () => {
  // Put together, so that this file holds none itself.
  const token = ['gh', 'p_', 'a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8'].join('');
  const key = `-----BEGIN ${'RSA PRIVATE'} KEY-----\n${'MIIEowIBAAKCAQEAx7/3bVYq'.repeat(4)}\n`;

  it.each([
    [`token = ${token}`, 'GitHub token'],
    [key, 'private key'],
    [`id: ${['AKIA', 'IOSFODNN7QXAMPLE'].join('')}`, 'AWS access key'],
    [`db: postgresql://app:${['x7Kq9', 'mP2vL'].join('')}@db:5432/app`, 'connection string with a password'],
    [`password = "${['x7Kq9mP2', 'vLw84bnT'].join('')}"`, 'secret in an assignment'],
  ])('%j', (text, kind) => {
    expect(leaksIn(`first line\n${text}`)).toEqual([{ line: 2, kind }]);
  });
  it.each([
    'postgresql://routing:PASSWORD@postgres/db',
    'password = "changeme-please-now"',
    `secret: '$${'{JWT_SECRET}'}'`,
    'password: "<your password here>"',
    'redis://:{password}@redis',
  ])('%s is none', (text) => {
    expect(leaksIn(text)).toEqual([]);
  });

  const root = mkdtempSync(join(tmpdir(), 'leaks-'));
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', root, '-c', 'user.name=t', '-c', 'user.email=t@example.org', ...args], {
      stdio: 'pipe',
      env: { PATH: process.env.PATH, HOME: root, GIT_CONFIG_NOSYSTEM: '1' },
    });
  beforeAll(() => {
    git('init', '--quiet');
    writeFileSync(join(root, 'old.py'), `TOKEN = "${token}"\n`);
    git('add', '.');
    git('commit', '--quiet', '-m', 'one');
    writeFileSync(join(root, 'old.py'), 'TOKEN = os.environ["TOKEN"]\n');
    writeFileSync(join(root, 'data.bin'), Buffer.concat([Buffer.from([0]), Buffer.from(token)]));
    git('add', '.');
    git('commit', '--quiet', '-m', 'two');
  });
  afterAll(() => rmSync(root, { recursive: true }));

  it('tells what is there from what was there, and never says what it is', async () => {
    const scan = await scanForLeaks(root, 'HEAD', signal);
    expect(scan).toMatchObject({
      left: 0,
      by: 'built-in patterns',
      leaks: [{ path: 'old.py', line: 1, kind: 'GitHub token', current: false }],
    });
    expect((await look(secretsInTreeCheck(async () => scan))).verdict).toBe('pass');
    const history = await look(secretsInHistoryCheck(async () => scan));
    expect(history).toMatchObject({ verdict: 'fail', observed: 'old.py:1 (GitHub token)' });
    expect(JSON.stringify(history)).not.toContain(token);
  });
  it('says when it could not look at everything', async () => {
    const bounded = async () => ({ leaks: [], files: 10, left: 3, by: 'built-in patterns' });
    expect(await look(secretsInHistoryCheck(bounded))).toMatchObject({ verdict: 'inconclusive', needed: 3 });
  });
  it.each([
    [
      'whose report is used',
      `printf '%s' '[{"File":"a.py","StartLine":3,"Description":"AWS","RuleID":"aws"}]'; exit 1`,
      'gitleaks',
    ],
    ['that falls over is left alone', 'echo broken; exit 126', 'built-in patterns'],
    ['that says nonsense is left alone', 'echo nonsense; exit 1', 'built-in patterns'],
  ])('an installed gitleaks %s', async (_, body, by) => {
    const bin = join(root, '.git', 'bin');
    mkdirSync(bin, { recursive: true });
    writeFileSync(join(bin, 'gitleaks'), `#!/bin/sh\n${body}\n`);
    chmodSync(join(bin, 'gitleaks'), 0o755);
    const path = process.env.PATH;
    process.env.PATH = `${bin}:${path}`;
    try {
      expect((await scanForLeaks(root, 'HEAD', signal)).by).toBe(by);
    } finally {
      process.env.PATH = path;
    }
  });
  it('a repository that git cannot read is an error, not a pass', async () => {
    await expect(scanForLeaks('/nonexistent', 'HEAD', signal)).rejects.toThrow();
  });
});
