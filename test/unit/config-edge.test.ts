import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { effective } from '../../src/config/effective.ts';
import { parseConfig, problemText } from '../../src/config/load.ts';
import { localTools } from '../../src/config/tools.ts';
import { loadConfigUnderPolicy } from '../../src/config/under-policy.ts';

const base = `name: demo
source: { repository: /srv/demo.git }
services: { web: { role: app } }
routes: [{ path: /, service: web, port: 8000 }]
`;

function problems(edge: string): string[] {
  return parseConfig(`${base}${edge}`).problems.map((problem) => problemText('f', problem));
}

describe('the section edge', () => {
  test('protects without being asked, and shows how (S1-17, S1-18)', () => {
    const { config } = parseConfig(base);
    expect(config && effective(config)).toMatchObject({
      edge: {
        redirect: 'auto',
        headers: {
          hsts: { maxAge: 31_536_000_000, includeSubDomains: false, preload: false },
          contentPolicy: { mode: 'report-only', policy: expect.stringContaining("default-src 'self'") },
          frame: 'SAMEORIGIN',
          referrer: 'strict-origin-when-cross-origin',
        },
        limits: { headerTimeout: 15_000, bodyTimeout: 30_000, headerLine: 8_192 },
        rateLimits: [],
      },
    });
  });

  test.each([
    [
      'an unknown key',
      'edge:\n  limits: { headerTimout: 5s }\n',
      'f:6:13: edge.limits: unknown key headerTimout; did you mean headerTimeout?',
    ],
    [
      'a time of nothing',
      'edge:\n  limits: { bodyTimeout: 0s }\n',
      'f:6:13: edge.limits.bodyTimeout: it must be 1s or longer',
    ],
    [
      'credentials for everybody',
      "edge:\n  cors: { origins: ['*'], credentials: true }\n",
      'f:6:11: edge.cors.origins: * does not go with credentials; list the origins',
    ],
    [
      'an origin with a path',
      'edge:\n  cors: { origins: [https://a.example.org/] }\n',
      'f:6:21: edge.cors.origins[0]: write an origin such as https://app.example.org in lower case, without a path; or * for all',
    ],
    [
      'a list of browsers without what it asks for',
      'edge:\n  headers: { hsts: { preload: true } }\n',
      'f:6:22: edge.headers.hsts.preload: browsers take a name into their lists only with includeSubDomains and a maxAge of 365d or more',
    ],
    [
      'two words about frames',
      'edge:\n  headers: { frame: DENY, contentPolicy: { policy: "frame-ancestors \'self\'" } }\n',
      "f:6:44: edge.headers.contentPolicy.policy: frame-ancestors 'self' and edge.headers.frame: DENY say different things; write frame-ancestors 'none', or frame: off",
    ],
    [
      'a limit that is never reached',
      'edge:\n  rateLimit: { perSecond: 5, burst: 0 }\n  rateLimits: [{ path: /login, perSecond: 5 }]\n',
      'f:7:16: edge.rateLimits[0]: edge.rateLimit lets 5 a second through, so this limit is never reached',
    ],
    [
      'a limit without a number',
      'edge:\n  rateLimits: [{ path: /login }]\n',
      'f:6:16: edge.rateLimits[0]: write perSecond or perMinute, one of them',
    ],
    [
      'two limits for one path',
      'edge:\n  rateLimits: [{ path: /a, perMinute: 1 }, { path: /a, perMinute: 2 }]\n',
      'f:6:46: edge.rateLimits[1].path: /a has a limit already',
    ],
    [
      'a header that would begin another',
      'edge:\n  headers: { permissions: "a\\r\\nX: y" }\n',
      'f:6:14: edge.headers.permissions: use printable ASCII characters on one line',
    ],
    [
      'a name that is none',
      'edge:\n  domains: [a_b.example.org]\n',
      'f:6:13: edge.domains[0]: a_b.example.org is no host name; write for example *.example.org',
    ],
    [
      'a range that is none',
      'edge:\n  internal: [10.0.0.0/33]\n',
      'f:6:14: edge.internal[0]: 10.0.0.0/33 is no address range; write for example 10.0.0.0/8',
    ],
    [
      'addresses in two certificates',
      'edge: { domains: [10.0.0.5, 10.0.0.6] }\ncertificates:\n  issuer: self-signed\n  sets: [{ name: a, domains: [10.0.0.5] }, { name: b, domains: [10.0.0.6] }]\n',
      'f:8:3: certificates.sets: addresses stand in more than one certificate (a, b), but whoever asks for an address gets one and the same',
    ],
  ])('refuses %s', (_name, edge, message) => {
    expect(problems(edge)).toEqual([message]);
  });

  test('an origin that is no production domain is warned of (S1-10)', () => {
    const parsed = parseConfig(
      `${base}edge: { cors: { origins: [http://localhost:3000, https://app.example.org] } }\n`,
    );
    expect(parsed.config && parsed.warnings.map(({ path, message }) => `${path}: ${message}`)).toEqual([
      'edge.cors.origins[0]: http://localhost:3000 is no origin of a production domain (S1-10): whoever is on the way can speak for it',
    ]);
  });
});

describe('TLS under a policy (S4-4)', () => {
  let root: string;
  const write = (text: string) => writeFile(join(root, 'etc', 'appliance.yaml'), `${base}${text}`);
  const minVersion = async () => (await loadConfigUnderPolicy(join(root, 'etc', 'appliance.yaml'))).edge.tls.minVersion;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'config-edge-'));
    await mkdir(join(root, 'etc'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  test.each([
    ['no policy', '', '1.2'],
    ['a policy that says nothing of it', 'deploy: { policy: flash }\n', '1.2'],
    ['mlops', 'deploy: { policy: mlops }\n', '1.3'],
    ['mlops and the same word', "deploy: { policy: mlops }\nedge: { tls: { minVersion: '1.3' } }\n", '1.3'],
    ['a word of its own', "edge: { tls: { minVersion: '1.3' } }\n", '1.3'],
    ['a policy that is not there', 'deploy: { policy: nothing }\n', '1.2'],
  ])('%s', async (_name, text, expected) => {
    await write(text);
    expect(await minVersion()).toBe(expected);
    expect(await localTools.showConfig({ root })).toMatchObject({ edge: { tls: { minVersion: expected } } });
  });

  test('less than the policy asks for is refused with its place, by config check too', async () => {
    await write("deploy: { policy: mlops }\nedge:\n  tls: { minVersion: '1.2' }\n");
    const message = "the policy mlops asks for TLS 1.3 alone; write '1.3', or leave it out";
    await expect(minVersion()).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(new RegExp(`appliance.yaml:7:\\d+: edge.tls.minVersion: ${message}`)),
    });
    expect(await localTools.checkConfig({ root, file: undefined })).toMatchObject({
      problems: [{ line: 7, path: 'edge.tls.minVersion', message }],
    });
  });
});
