import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { configJsonSchema, effective, keepLastGood, loadConfig } from '../../src/config/index.ts';
import { parseConfig, problemText } from '../../src/config/load.ts';
import { ApplianceError } from '../../src/lib/errors.ts';

const good = `name: demo
source:
  repository: /srv/demo.git
services:
  web:
    role: app
  db:
    role: core
routes:
  - { path: /, service: web, port: 8000 }
`;

/** Problems as they are shown, for a file called f. */
function problems(text: string): string[] {
  return parseConfig(text).problems.map((problem) => problemText('f', problem));
}

describe('a good file', () => {
  test('is filled with defaults, durations in milliseconds, sizes in bytes', () => {
    const { config } = parseConfig(good);
    expect(config).toMatchObject({
      name: 'demo',
      source: { compose: ['compose.yaml'], profiles: [] },
      routes: [{ path: '/', timeout: 60_000, maxBody: 10_485_760 }],
      edge: { http: '127.0.0.1:8080', https: '127.0.0.1:8443' },
      deploy: { strategy: 'blue-green', healthTimeout: 60_000, drain: 60_000, retire: 'keep-warm' },
      network: { pool: '10.213.0.0/16' },
    });
  });

  test('may use anchors and merge keys', () => {
    const text = good.replace(
      '  web:\n    role: app\n',
      '  web: &app\n    role: app\n    probe: { type: tcp, port: 1 }\n  other: { <<: *app }\n',
    );
    expect(parseConfig(text).config?.services.other?.probe).toMatchObject({ type: 'tcp', port: 1 });
  });
});

describe('a file that is good but may not do what is meant', () => {
  const warnings = (text: string) => {
    const parsed = parseConfig(text);
    return parsed.config ? parsed.warnings.map((warning) => problemText('f', warning)) : undefined;
  };

  test('a drain that is shorter than the longest request is warned of with its place', () => {
    expect(warnings(`${good}deploy: { drain: 59s }\n`)).toEqual([
      'f:11:11: deploy.drain: 59.0 s is shorter than the 1 min 00 s that requests to / may take; one that takes longer is cut when its colour is stopped or cleared',
    ]);
    expect(warnings(`${good}deploy: { drain: 1m }\n`)).toEqual([]);
  });

  test('a method that changes something is only copied with a warning', () => {
    expect(warnings(`${good}deploy: { drain: 1m }\nshadow: { methods: [GET, POST, PUT] }\n`)).toEqual([
      expect.stringMatching(/^f:12:11: shadow.methods: copies of POST, PUT are carried out by the new release as well/),
    ]);
    expect(warnings(`${good}deploy: { drain: 1m }\nshadow: {}\n`)).toEqual([]);
  });

  test('the defaults are no reason to warn', () => {
    expect(warnings(good)).toEqual([]);
  });
});

describe('every mistake is told with its place', () => {
  test('an unknown key, with what was probably meant', () => {
    expect(problems(good.replace('  repository:', '  repositry:'))).toEqual([
      'f:2:1: source.repository: is missing (Git repository: a path on this host or a URL)',
      'f:3:3: source: unknown key repositry; did you mean repository?',
    ]);
    expect(problems(`${good}xyzzyquux: 1\n`)[0]).toMatch(/^f:11:1: unknown key xyzzyquux; known are name, source, /);
  });

  test('a wrong choice, a wrong kind, a wrong format', () => {
    expect(problems(good.replace('role: core', 'role: cor'))).toEqual([
      'f:8:5: services.db.role: "cor" is not one of app, core, migrate, job, ignore; did you mean core?',
    ]);
    expect(problems(good.replace('port: 8000', 'port: "8000"'))).toEqual([
      'f:10:30: routes[0].port: must be a number, but is text',
    ]);
    expect(problems(`${good}deploy:\n  drain: 30 seconds\n`)).toEqual([
      'f:12:3: deploy.drain: write a duration such as 500ms, 30s, 5m, 2h or 7d',
    ]);
  });

  test('several at once, in the order of the file', () => {
    const text = good.replace('name: demo', 'name: Demo').replace('port: 8000', 'port: 0');
    expect(problems(text).map((line) => line.split(':').slice(1, 3).join(':'))).toEqual(['1:1', '10:30']);
  });

  test('a mistake in a shared part is shown where it was made', () => {
    const text = good.replace(
      '  web:\n    role: app\n',
      '  web: &app\n    role: app\n    probe: { type: tcp, port: 0 }\n  other: { <<: *app }\n',
    );
    const lines = problems(text);
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line).toMatch(/^f:7:25: services\.(web|other)\.probe\.port: /);
  });

  test('duplicate keys and broken YAML', () => {
    expect(problems(`${good}name: again\n`)).toEqual(['f:11:1: key name stands here for the second time']);
    expect(problems('name: demo\nsource: {\n')[0]).toMatch(/^f:\d+:\d+: /);
    expect(problems('name: "demo\n')[0]).toMatch(/^f:\d+:\d+: Missing closing "quote/);
    expect(problems('a: !secret x\n')[0]).toMatch(/^f:1:4: Unresolved tag/);
  });

  test('an empty file, a list, a text, a bomb', () => {
    expect(problems('')).toEqual(['f:1:1: the file is empty']);
    expect(problems('# nothing\n')).toEqual(['f:1:1: the file is empty']);
    expect(problems('- a\n')).toEqual(['f:1:1: must be a group of keys, but is a list']);
    expect(problems('hello')).toEqual(['f:1:1: must be a group of keys, but is text']);
    const bomb = `a: &a [${'x,'.repeat(50)}]\nb: &b [${'*a,'.repeat(50)}]\nc: [${'*b,'.repeat(50)}]\n`;
    expect(problems(bomb)).toEqual([expect.stringMatching(/^f:3:\d+: .*aliases/)]);
    expect(problems('a: &a [*a]\n').at(-1)).toMatch(/^f:1:1: unknown key a/);
  });
});

describe('what is well-formed but cannot work', () => {
  const withRoutes = (...routes: string[]) =>
    good.replace(/ {2}- \{.*\n/, routes.map((route) => `  - { ${route} }\n`).join(''));
  test.each([
    [
      withRoutes('path: /, service: wb, port: 1'),
      'f:10:16: routes[0].service: there is no service wb; did you mean web?',
    ],
    [
      withRoutes('path: /, service: db, port: 1'),
      'f:10:16: routes[0].service: db has the role core; only app services take requests',
    ],
    [
      withRoutes('path: /, service: web, port: 1', 'path: /, service: web, port: 2'),
      'f:11:7: routes[1].path: / has a route already',
    ],
    [
      withRoutes('path: /a, service: web, port: 1', 'path: /a/, service: web, port: 2'),
      'f:11:7: routes[1].path: /a/ and /a are the same prefix',
    ],
    [
      `${good}edge: { http: "8080", https: "127.0.0.1:8080" }\n`,
      'f:11:23: edge.https: http and https need ports of their own',
    ],
    [`${good}edge: { http: "70000" }\n`, 'f:11:9: edge.http: 70000 is no port (1 to 65535)'],
    [`${good}edge: { http: "1.2.3.400:80" }\n`, 'f:11:9: edge.http: 1.2.3.400 is no IPv4 address'],
    [`${good}persistent: [./a/../../b]\n`, 'f:11:14: persistent[0]: ./a/../../b leaves the project; remove the ..'],
    [`${good}persistent: [./a, ./a/b]\n`, 'f:11:19: persistent[1]: ./a/b is part of ./a, which is shared already'],
    [`${good}persistent: [./]\n`, 'f:11:14: persistent[0]: the project as a whole cannot be shared'],
    [`${good}network: { pool: 10.256.0.0/16 }\n`, 'f:11:12: network.pool: 10.256.0.0/16 is no IPv4 range'],
    [
      good.replace('/srv/demo.git', '/srv/demo.git\n  compose: [../c.yaml]'),
      'f:4:13: source.compose[0]: ../c.yaml is not inside the repository; write a path relative to its root',
    ],
  ])('%#', (text, expected) => {
    expect(problems(text)).toEqual([expected]);
  });

  test('two migrations, or nothing to deploy', () => {
    expect(
      problems(good.replace('  db:\n    role: core\n', '  m1: { role: migrate }\n  m2: { role: migrate }\n')),
    ).toEqual([
      'f:8:9: services.m2.role: m1 is the migration already; a deploy runs one (give the other the role job)',
    ]);
    expect(problems(good.replace('role: app', 'role: job'))).toContain(
      'f:4:1: services: no service has the role app: there is nothing to deploy',
    );
  });

  test('prefixes within prefixes are fine', () => {
    expect(
      problems(
        withRoutes(
          'path: /, service: web, port: 1',
          'path: /api/, service: web, port: 1',
          'path: /api/v2/, service: web, port: 1',
        ),
      ),
    ).toEqual([]);
  });
});

describe('files', () => {
  let directory: string;
  let path: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'config-'));
    path = join(directory, 'appliance.yaml');
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  async function failure(work: Promise<unknown>): Promise<ApplianceError> {
    const thrown = await work.catch((error: unknown) => error);
    if (thrown instanceof ApplianceError) return thrown;
    throw new Error(`expected an ApplianceError, got ${String(thrown)}`);
  }

  test('none, a directory, a huge one', async () => {
    expect(await failure(loadConfig(path))).toMatchObject({
      code: 'config_missing',
      exit: 2,
      hint: expect.stringContaining('appliance init'),
    });
    expect(await failure(loadConfig(directory))).toMatchObject({ code: 'config_invalid' });
    await writeFile(path, '#'.repeat(2 ** 21));
    expect((await failure(loadConfig(path))).message).toContain('2.0 MiB long');
  });

  test('a mistake names file, line and column', async () => {
    await writeFile(path, good.replace('role: core', 'role: cor'));
    const error = await failure(loadConfig(path));
    expect(error).toMatchObject({ code: 'config_invalid', exit: 2, left: 'nothing was touched' });
    expect(error.message).toMatch(new RegExp(`^${path}:8:5: services\\.db\\.role: `));
  });

  test('the last good copy is kept, and never steps in', async () => {
    await writeFile(path, good);
    const copy = await keepLastGood(path, join(directory, 'lib'));
    expect(await readFile(copy, 'utf8')).toBe(good);
    expect((await stat(copy)).mode & 0o777).toBe(0o600);
    const { ino } = await stat(copy);
    await keepLastGood(path, join(directory, 'lib'));
    expect((await stat(copy)).ino).toBe(ino);
    await writeFile(path, 'broken: [');
    expect(await failure(loadConfig(path))).toMatchObject({ code: 'config_invalid' });
  });
});

test('the effective configuration shows no credentials of the repository', () => {
  const text = good.replace('/srv/demo.git', 'https://deploy:geheim-token@git.example/demo.git');
  const { config } = parseConfig(text);
  if (!config) throw new Error('the file is good');
  expect(JSON.stringify(effective(config))).not.toContain('geheim');
  expect(effective(config)).toMatchObject({
    source: { repository: 'https://***@git.example/demo.git' },
    deploy: { drain: 60_000 },
  });
});

test('the JSON Schema describes what is written, not what the program reads', () => {
  expect(configJsonSchema()).toMatchObject({
    additionalProperties: false,
    required: expect.not.arrayContaining(['deploy']),
    properties: { deploy: { properties: { drain: { type: 'string', default: '60s' } } } },
  });
});
