import { cp, lstat, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import {
  colourModel,
  coreModel,
  freezeProject,
  migrateModel,
  type Project,
  resolveProject,
  topologyOf,
} from '../../src/capabilities/stack/index.ts';
import { type Config, configSchema } from '../../src/config/schema.ts';
import { composeHands } from '../../src/host/compose.ts';
import { ApplianceError } from '../../src/lib/errors.ts';

let checkout: string;
let release: string;
let persistentDirectory: string;

beforeEach(async () => {
  const root = await mkdtemp(join(tmpdir(), 'stacktest-resolve-'));
  checkout = join(root, 'source');
  release = join(root, 'release');
  persistentDirectory = join(root, 'persistent');
  await mkdir(checkout);
});
afterEach(() => rm(dirname(checkout), { recursive: true, force: true }));

async function files(contents: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, text] of Object.entries(contents)) {
    await mkdir(dirname(join(checkout, path)), { recursive: true });
    await writeFile(join(checkout, path), text);
  }
}

/** @param services role of each service */
function configWith(services: Record<string, string>, more: Record<string, unknown> = {}): Config {
  const [routed = ''] = Object.entries(services).flatMap(([name, role]) => (role === 'app' ? [name] : []));
  return configSchema.parse({
    name: 'demo',
    source: { repository: '/nowhere' },
    services: Object.fromEntries(Object.entries(services).map(([name, role]) => [name, { role }])),
    routes: [{ path: '/', service: routed, port: 8000 }],
    ...more,
  });
}

function resolveWith(config: Config, envText?: string) {
  return resolveProject({ config, checkout, tag: 'v1', envText, composeResolve: composeHands.resolve });
}

async function frozen(config: Config, envText?: string): Promise<Project> {
  const project = await resolveWith(config, envText);
  return freezeProject({ config, project, checkout, directory: release, persistentDirectory });
}

function colour(project: Project) {
  const imageIds = Object.fromEntries(project.services.map(({ name }) => [name, `sha256:${name}`]));
  const request = {
    name: 'demo',
    colour: 'blue',
    tag: 'v1',
    releaseId: 'v1-1',
    subnet: '10.215.2.0/24',
    project,
    imageIds,
  } as const;
  return { planned: colourModel(request), migration: migrateModel(request), topology: topologyOf(request), imageIds };
}

/** The services that Compose itself makes of a model of ours: proof that it is a valid project. */
async function throughCompose(model: {
  readonly projectName: string;
  readonly text: string;
}): Promise<Record<string, Record<string, unknown>>> {
  const file = join(dirname(checkout), 'planned.json');
  await writeFile(file, model.text);
  const answer = await composeHands.resolve({
    projectName: model.projectName,
    directory: dirname(checkout),
    files: [file],
    envFile: 'none',
  });
  return parse(JSON.stringify(answer)).services;
}

async function refusal(work: Promise<unknown>): Promise<ApplianceError> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (thrown instanceof ApplianceError) return thrown;
  throw new Error(`expected an ApplianceError, got ${String(thrown)}`);
}

/** The model of one service with role app, as Compose reads it back. */
async function appService(text: string, contents: Readonly<Record<string, string>> = {}, envText?: string) {
  await files({
    'compose.yaml': `services:\n  app:\n    image: debian:trixie-slim\n${text.replaceAll(/^/gm, '    ')}\n`,
    ...contents,
  });
  return (await throughCompose(colour(await frozen(configWith({ app: 'app' }), envText)).planned)).app ?? {};
}

describe('links of the repository', () => {
  const app = {
    'compose.yaml': 'services: { app: { image: x, volumes: ["./conf/current:/c:ro"] } }',
    'conf/v2': 'two',
  };

  test('a mounted link is frozen as what it leads to, and a change of that is noticed', async () => {
    await files(app);
    await symlink('v2', join(checkout, 'conf/current'));
    const project = await frozen(configWith({ app: 'app' }));
    const copy = join(release, 'files/conf/current');
    expect((await lstat(copy)).isFile()).toBe(true);
    expect(await readFile(copy, 'utf8')).toBe('two');
    const before = project.files;
    await files({ 'conf/v2': 'three' });
    expect((await resolveWith(configWith({ app: 'app' }))).files).not.toEqual(before);
  });

  test('one that leads out of the repository is refused', async () => {
    await files(app);
    await symlink('/etc/hostname', join(checkout, 'conf/current'));
    const { code, message } = await refusal(resolveWith(configWith({ app: 'app' })));
    expect(code).toBe('compose_invalid');
    expect(message).toContain('conf/current leads out of the repository, to /etc/hostname');
  });
});

describe('exploding aliases are refused before Compose sees them', () => {
  const level = (n: number) => `x-${n + 1}: &a${n + 1} [${Array(10).fill(`*a${n}`).join(', ')}]`;
  const bomb = ['x-0: &a0 [lol, lol]', ...Array.from({ length: 9 }, (_, n) => level(n)), ''].join('\n');
  const services = 'services: { app: { image: x } }\n';
  const refuse = async (contents: Readonly<Record<string, string>>) => {
    await files(contents);
    const asked: unknown[] = [];
    const composeResolve = async (call: unknown) => asked.push(call);
    const error = await resolveProject({
      config: configWith({ app: 'app' }),
      checkout,
      tag: 'v1',
      composeResolve,
    }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(asked).toEqual([]);
    expect(error).toMatchObject({ code: 'compose_invalid', exit: 2, left: 'nothing was touched' });
    return error instanceof ApplianceError ? error.message : '';
  };

  test('in the Compose file, with the line', async () => {
    expect(await refuse({ 'compose.yaml': `${bomb}${services}` })).toMatch(/^compose\.yaml:6:\d+: .*aliases/);
  });

  test('in a file that it includes or extends, however it is named', async () => {
    await files({ 'parts/bomb.yaml': bomb });
    for (const text of [
      `include: [parts/bomb.yaml]\n${services}`,
      `include: [{ path: [./parts/bomb.yaml], project_directory: . }]\n${services}`,
      'services: { app: { image: x, extends: { file: parts/bomb.yaml, service: app } } }\n',
    ]) {
      expect(await refuse({ 'compose.yaml': text })).toMatch(/^parts\/bomb\.yaml:6:\d+: .*aliases/);
    }
    await files({ 'parts/all.yaml': 'include: [bomb.yaml]\n' });
    expect(await refuse({ 'compose.yaml': `include: [parts/all.yaml]\n${services}` })).toMatch(/^parts\/bomb\.yaml:6:/);
  });

  test('a file that is no file, or longer than any Compose file, is not read', async () => {
    await symlink('/dev/zero', join(checkout, 'compose.yaml'));
    expect(await refuse({})).toContain('compose.yaml is no regular file');
    await rm(join(checkout, 'compose.yaml'));
    expect(await refuse({ 'compose.yaml': `${services}# ${'x'.repeat(1_100_000)}` })).toContain('1.0 MiB long');
  });

  test('many uses of one anchor are no explosion', async () => {
    const many = Array.from({ length: 150 }, (_, n) => `  app${n}: { <<: *common }\n`).join('');
    await files({ 'compose.yaml': `x-common: &common { image: x, environment: { A: "1" } }\nservices:\n${many}` });
    const roles = Object.fromEntries(Array.from({ length: 150 }, (_, n) => [`app${n}`, n < 100 ? 'app' : 'ignore']));
    expect((await resolveWith(configWith(roles))).services).toHaveLength(150);
  });
});

describe('Compose features survive the colour', () => {
  test.each([['deploy: { replicas: 3 }'], ['scale: 3']])('replicas: %s', async (text) => {
    await files({ 'compose.yaml': `services: { app: { image: x, ${text} } }` });
    const { planned, topology } = colour(await frozen(configWith({ app: 'app' })));
    const services = await throughCompose(planned);
    expect(Object.keys(services)).toEqual(['app-1', 'app-2', 'app-3']);
    expect(services['app-2']?.networks).toEqual({ colour: { aliases: ['app'], ipv4_address: '10.215.2.11' } });
    expect(topology.addresses).toEqual({ app: ['10.215.2.10', '10.215.2.11', '10.215.2.12'] });
  });

  test('depends_on with conditions, across replicas, jobs, core and migration', async () => {
    await files({
      'compose.yaml': `
services:
  web: { image: x, depends_on: { api: { condition: service_healthy }, db: { condition: service_healthy } } }
  api:
    image: x
    scale: 2
    healthcheck: { test: ["CMD", "true"] }
    depends_on: { prep: { condition: service_completed_successfully }, migrate: { condition: service_completed_successfully } }
  prep: { image: x, restart: "no", depends_on: [db] }
  migrate: { image: x, command: [alembic, upgrade, head], depends_on: { db: { condition: service_healthy } } }
  db: { image: x, healthcheck: { test: ["CMD", "true"] } }
`,
    });
    const roles = { web: 'app', api: 'app', prep: 'job', migrate: 'migrate', db: 'core' };
    const { planned, migration } = colour(await frozen(configWith(roles)));
    const services = await throughCompose(planned);
    expect(Object.keys(services).sort()).toEqual(['api-1', 'api-2', 'prep', 'web']);
    expect(services.web?.depends_on).toEqual({
      'api-1': { condition: 'service_started', required: true },
      'api-2': { condition: 'service_started', required: true },
    });
    // Health is waited for between the stages, by us.
    expect(planned.stages).toEqual([
      { services: ['api-1', 'api-2', 'prep'], gates: ['api-1', 'api-2'] },
      { services: ['web'], gates: [] },
    ]);
    expect(services['api-1']?.depends_on).toEqual({
      prep: { condition: 'service_completed_successfully', required: true },
    });
    expect(services.prep).toMatchObject({ restart: 'no' });
    expect(services.prep).not.toHaveProperty('depends_on');
    expect(migration?.service).toBe('migrate');
    if (migration) expect(Object.keys(await throughCompose(migration))).toEqual(['migrate']);
  });

  test('env_file and variables of the environment file, line ends included', async () => {
    const service = await appService(
      `env_file: [app.env, .env]\nenvironment: { FROM_ENV: "\${SECRET}", MONEY: "5$$", UNSET: }`,
      { 'app.env': 'IN_FILE=1\n' },
      'SECRET=geheim\r\nOTHER=x\r\n',
    );
    expect(service.environment).toEqual({
      APPLIANCE_COLOUR: 'blue',
      APPLIANCE_RELEASE: 'v1',
      FROM_ENV: 'geheim',
      IN_FILE: '1',
      MONEY: '5$$',
      OTHER: 'x',
      SECRET: 'geheim',
    });
  });

  test('the environment file never becomes part of a build context', async () => {
    const config = configWith({ app: 'app' });
    await files({ 'compose.yaml': `services: { app: { image: "x:\${TAG:-none}" } }` });
    expect((await resolveWith(config, 'TAG=1\n')).model.services.app?.image).toBe('x:1');
    await expect(stat(join(checkout, '.env'))).rejects.toThrow('ENOENT');
    await files({ '.env': 'TAG=committed\n' });
    expect((await resolveWith(config, 'TAG=2\n')).model.services.app?.image).toBe('x:2');
    expect((await resolveWith(config)).model.services.app?.image).toBe('x:committed');
  });

  test('secrets from a file and from a variable, as the container would see them', async () => {
    const text = 'secrets: [plain, { source: variable, target: /run/key, uid: "1000", gid: "1000", mode: 0400 }]';
    await files({
      'compose.yaml': `services: { app: { image: x, ${text} } }\nsecrets: { plain: { file: ./key.txt }, variable: { environment: KEY } }`,
      'key.txt': 'from file',
    });
    const { planned } = colour(await frozen(configWith({ app: 'app' }), 'BASE=deep\nKEY="$BASE \\$ecret"\n'));
    const { app } = await throughCompose(planned);
    expect(app?.secrets).toEqual([
      { source: 'plain', target: '/run/secrets/plain' },
      { source: 'variable.app', target: '/run/key' },
    ]);
    expect(await readFile(join(release, 'secrets/plain'), 'utf8')).toBe('from file');
    expect(await readFile(join(release, 'secrets/variable.app'), 'utf8')).toBe('deep $ecret');
    const { mode, uid, gid } = await stat(join(release, 'secrets/variable.app'));
    expect({ mode: mode & 0o777, uid, gid }).toEqual({ mode: 0o400, uid: 1000, gid: 1000 });
    expect((await stat(release)).mode & 0o777).toBe(0o700);
    expect(planned.text).not.toContain('ecret"');
  });

  test('configs from a file, from text and from a variable', async () => {
    const text = 'configs: [file, { source: text, target: /etc/text }, variable]';
    const definition = `configs: { file: { file: ./a.conf }, text: { content: "costs $$5 in \${PLACE}" }, variable: { environment: PLACE } }`;
    await files({ 'compose.yaml': `services: { app: { image: x, ${text} } }\n${definition}`, 'a.conf': 'a' });
    const project = await frozen(configWith({ app: 'app' }), 'PLACE=here\n');
    expect((await throughCompose(colour(project).planned)).app?.configs).toEqual([
      { source: 'file', target: '/file' },
      { source: 'text', target: '/etc/text' },
      { source: 'variable', target: '/variable' },
    ]);
    const read = (name: string) => readFile(join(release, 'configs', name), 'utf8');
    expect([await read('file'), await read('text'), await read('variable')]).toEqual(['a', 'costs $5 in here', 'here']);
    expect((await stat(join(release, 'configs/text'))).mode & 0o777).toBe(0o444);
  });

  test('profiles, include, several files and anchors', async () => {
    await files({
      'compose.yaml': `
include: [parts/worker.yaml]
x-base: &base { image: x, init: true }
services:
  app: { <<: *base, environment: { FROM: one } }
  extra: { <<: *base, profiles: [more] }
  hidden: { <<: *base, profiles: [never] }
`,
      'override.yaml': 'services: { app: { environment: { FROM: two } } }',
      'parts/worker.yaml': 'services: { worker: { image: x, env_file: worker.env } }',
      'parts/worker.env': 'W=1\n',
    });
    const source = { repository: '/nowhere', compose: ['compose.yaml', 'override.yaml'], profiles: ['more'] };
    const roles = { app: 'app', extra: 'app', worker: 'app', hidden: 'ignore' };
    const services = await throughCompose(colour(await frozen(configWith(roles, { source }))).planned);
    expect(Object.keys(services).sort()).toEqual(['app', 'extra', 'worker']);
    expect(services.app).toMatchObject({ init: true, environment: { FROM: 'two' } });
    expect(services.extra).not.toHaveProperty('profiles');
    expect(services.worker).toMatchObject({ environment: { W: '1' } });
  });

  test('healthchecks, without what engines before 25 refuse', async () => {
    const service = await appService(
      'healthcheck: { test: "curl -f localhost", interval: 7s, retries: 4, start_period: 3s, start_interval: 1s }',
    );
    expect(service.healthcheck).toEqual({
      test: ['CMD-SHELL', 'curl -f localhost'],
      interval: '7s',
      retries: 4,
      start_period: '3s',
    });
  });

  test.each([
    ['init: true', { init: true }],
    ['user: "1000:1000"', { user: '1000:1000' }],
    ['tmpfs: [/tmp, "/scratch:size=10m"]', { tmpfs: ['/tmp', '/scratch:size=10m'] }],
    [
      'ulimits: { nofile: { soft: 1000, hard: 2000 }, nproc: 100 }',
      { ulimits: { nofile: { soft: 1000, hard: 2000 }, nproc: 100 } },
    ],
    ['mem_limit: 64m\ncpus: 0.5\npids_limit: 50', { mem_limit: '67108864', cpus: 0.5, pids_limit: 50 }],
    [
      'deploy: { resources: { limits: { cpus: "0.5", memory: 64M } } }',
      { deploy: { resources: { limits: { cpus: 0.5, memory: '67108864' } } } },
    ],
    ['extra_hosts: ["host.docker.internal:host-gateway"]', { extra_hosts: ['host.docker.internal=host-gateway'] }],
    [
      'deploy: { resources: { reservations: { devices: [{ driver: nvidia, count: 1, capabilities: [gpu] }] } } }',
      { deploy: { resources: { reservations: { devices: [{ driver: 'nvidia', count: 1, capabilities: ['gpu'] }] } } } },
    ],
    ['stop_grace_period: 40s\nstop_signal: SIGINT', { stop_grace_period: '40s', stop_signal: 'SIGINT' }],
    [
      'cap_drop: [ALL]\nread_only: true\nsecurity_opt: [no-new-privileges]',
      { cap_drop: ['ALL'], read_only: true, security_opt: ['no-new-privileges'] },
    ],
    ['restart: on-failure:3', { restart: 'on-failure:3' }],
    ['labels: { a.b: c }', { labels: { 'a.b': 'c', 'appliance.colour': 'blue' } }],
  ])('%s', async (text, expected) => {
    expect(await appService(text)).toMatchObject(expected);
  });

  test('named volumes are shared unless declared, and never removed by Compose', async () => {
    await files({
      'compose.yaml': `
services:
  app: { image: x, volumes: ["data:/data", "cache:/cache", "named:/named", "theirs:/theirs"] }
volumes: { data: {}, cache: {}, named: { name: fixed, driver_opts: { type: tmpfs, device: tmpfs } }, theirs: { external: true } }
`,
    });
    const { planned } = colour(await frozen(configWith({ app: 'app' }, { volumes: { perColour: ['cache'] } })));
    expect(planned.model.volumes).toEqual({
      cache: { name: 'demo-blue_cache', external: true },
      data: { name: 'demo_data', external: true },
      named: { name: 'fixed', external: true },
      theirs: { name: 'theirs', external: true },
    });
    expect(planned.volumes.map(({ name, ours }) => [name, ours])).toEqual([
      ['demo-blue_cache', true],
      ['demo_data', true],
      ['fixed', true],
      ['theirs', false],
    ]);
    expect(planned.volumes[2]?.options).toEqual({ type: 'tmpfs', device: 'tmpfs' });
  });

  test('what belongs to one host is dropped: container names, host ports, builds; it restarts unless stopped (S0-24)', async () => {
    const service = await appService('container_name: fixed\nports: ["8000:8000"]\nbuild: .', {
      Dockerfile: 'FROM scratch',
    });
    expect(service).not.toHaveProperty('container_name');
    expect(service).not.toHaveProperty('ports');
    expect(service).not.toHaveProperty('build');
    expect(service).toMatchObject({ image: 'sha256:app', pull_policy: 'never', restart: 'unless-stopped' });
  });
});

describe('bind mounts', () => {
  test('files of the checkout move into the release; shared directories are seeded once', async () => {
    const compose =
      'services: { app: { image: x, volumes: ["./conf:/conf:ro", "./models:/models", "/etc/hostname:/h:ro"] } }';
    await files({ 'compose.yaml': compose, 'conf/a': 'one', 'models/m': 'first' });
    const config = configWith({ app: 'app' }, { persistent: ['./models'] });
    const mounts = async () => (await frozen(config)).model.services.app?.volumes?.map(({ source }) => source);
    expect(await mounts()).toEqual([join(release, 'files/conf'), join(persistentDirectory, 'models'), '/etc/hostname']);
    await files({ 'conf/a': 'two', 'models/m': 'second' });
    await mounts();
    expect(await readFile(join(release, 'files/conf/a'), 'utf8')).toBe('two');
    expect(await readFile(join(persistentDirectory, 'models/m'), 'utf8')).toBe('first');
  });

  test('the content of what is mounted is part of the release', async () => {
    await files({ 'compose.yaml': 'services: { app: { image: x, volumes: ["./conf:/conf"] } }', 'conf/a': 'one' });
    const before = await resolveWith(configWith({ app: 'app' }));
    expect(before.notes).toEqual([
      'app can write to conf, which belongs to one release; what it writes ends with the release',
    ]);
    await files({ 'conf/b': '' });
    const after = await resolveWith(configWith({ app: 'app' }));
    expect(Object.keys(before.files)).toEqual(['conf']);
    expect(after.files.conf).not.toBe(before.files.conf);
    await rm(join(checkout, 'conf/b'));
    expect((await resolveWith(configWith({ app: 'app' }))).files).toEqual(before.files);
  });

  test('a mount that the checkout does not have is refused with what to do', async () => {
    await files({ 'compose.yaml': 'services: { app: { image: x, volumes: ["./data:/data"] } }' });
    const error = await refusal(resolveWith(configWith({ app: 'app' })));
    expect(error.code).toBe('compose_invalid');
    expect(error.message).toContain('app: mount: data does not exist; commit it, or list it under persistent:');
  });
});

describe('refusals', () => {
  test('services that only one side knows, with near matches', async () => {
    await files({ 'compose.yaml': 'services: { app: { image: x }, worker: { image: x } }' });
    const error = await refusal(resolveWith(configWith({ app: 'app', worke: 'app', ghost: 'ignore' })));
    expect(error.message).toContain(
      'service worker of the Compose project has no entry in appliance.yaml; did you mean worke?',
    );
    expect(error.message).toContain(
      'service worke of appliance.yaml is not in the Compose project; did you mean worker?',
    );
    expect(error.message).not.toContain('ghost');
    expect(error).toMatchObject({ code: 'compose_invalid', exit: 2, left: 'nothing was touched' });
  });

  test.each([
    ['network_mode: host', 'network_mode: host would make both colours fight'],
    ['network_mode: "service:db"', 'ties it to one container'],
    ['network_mode: none', 'must be reachable by the edge'],
    ['links: ["db:database"]', 'give db the network alias database instead'],
    ['external_links: [other]', 'points outside the project'],
    ['volumes_from: [db]', 'share a named volume instead'],
    ['pid: "service:db"', 'pid: service:db ties it to one container'],
    ['volumes: ["/var/run/docker.sock:/var/run/docker.sock"]', 'the whole host'],
    ['scale: 0', 'it has a route, but no replicas'],
    ['scale: 119', 'a colour has room for 118'],
  ])('%s', async (text, message) => {
    await files({ 'compose.yaml': `services: { app: { image: x, ${text} }, db: { image: x } }` });
    const error = await refusal(resolveWith(configWith({ app: 'app', db: 'core' })));
    expect(error.code).toBe('compose_invalid');
    expect(error.message).toContain(message);
  });

  test('a plain link is a name that everyone has anyway', async () => {
    await files({ 'compose.yaml': 'services: { app: { image: x, links: [db] }, db: { image: x } }' });
    const services = await throughCompose(colour(await frozen(configWith({ app: 'app', db: 'core' }))).planned);
    expect(services.app).not.toHaveProperty('links');
  });

  test('a service that takes the name of a replica or of the edge', async () => {
    await files({
      'compose.yaml': 'services: { app: { image: x, scale: 2 }, app-2: { image: x }, edge: { image: x } }',
    });
    const error = await refusal(resolveWith(configWith({ app: 'app', 'app-2': 'app', edge: 'core' })));
    expect(error.message).toContain('app-2: this name belongs to a replica of app');
    expect(error.message).toContain('edge: this name belongs to the edge');
  });

  test('a missing Compose file, an unknown per-colour volume, a secret that is not committed', async () => {
    expect((await refusal(resolveWith(configWith({ app: 'app' })))).message).toBe('release v1 has no compose.yaml');
    await files({
      'compose.yaml': 'services: { app: { image: x, secrets: [key] } }\nsecrets: { key: { file: ./key } }',
    });
    const error = await refusal(resolveWith(configWith({ app: 'app' }, { volumes: { perColour: ['cach'] } })));
    expect(error.message).toContain('volumes.perColour: there is no volume cach');
    expect(error.message).toContain('secrets.key: key does not exist');
  });

  test('a schema declaration that is no number', async () => {
    await files({ 'compose.yaml': 'x-appliance: { schema: { version: new } }\nservices: { app: { image: x } }' });
    expect((await refusal(resolveWith(configWith({ app: 'app' })))).message).toContain('x-appliance.schema.version');
  });
});

test('the schema of a release is read from its Compose file', async () => {
  await files({
    'compose.yaml': 'x-appliance: { schema: { version: 3, readableFrom: 2 } }\nservices: { app: { image: x } }',
  });
  expect((await resolveWith(configWith({ app: 'app' }))).schema).toEqual({ version: 3, readableFrom: 2 });
  await files({ 'compose.yaml': 'x-appliance: { schema: { version: 3 } }\nservices: { app: { image: x } }' });
  expect((await resolveWith(configWith({ app: 'app' }))).schema).toEqual({ version: 3, readableFrom: 3 });
});

test('core services join both networks, keep their data and publish on loopback only', async () => {
  await files({
    'compose.yaml': `
services:
  app: { image: x }
  db: { image: x, restart: always, volumes: ["pg:/data"], ports: ["5432:5432", "127.0.0.1:5433:5432"], networks: { default: { aliases: [database] } } }
volumes: { pg: {} }
`,
  });
  const project = await frozen(configWith({ app: 'app', db: 'core' }));
  expect(project.notes).toEqual(['db: port 5432 is not published: core services only listen on loopback']);
  const { edge } = configWith({ app: 'app', db: 'core' });
  const planned = coreModel({
    config: { name: 'demo', edge },
    project,
    imageIds: { db: 'sha256:db', edge: 'sha256:edge' },
    subnets: { blue: '10.215.2.0/24', green: '10.215.3.0/24' },
    edgeDirectory: '/lib/edge',
    edgeLogDirectory: '/log/edge',
  });
  const services = await throughCompose(planned);
  expect(Object.keys(services).sort()).toEqual(['db', 'edge']);
  expect(services.db).toMatchObject({
    image: 'sha256:db',
    restart: 'unless-stopped',
    networks: { blue: { aliases: ['database'] }, green: { aliases: ['database'] } },
    ports: [{ host_ip: '127.0.0.1', published: '5433', target: 5432 }],
  });
  expect(planned.volumes).toMatchObject([{ name: 'demo_pg', ours: true }]);
});

test('a colour does not depend on where the checkout was', async () => {
  await files({
    'compose.yaml': 'services: { app: { image: x, build: ., volumes: ["./conf:/conf:ro"] } }',
    Dockerfile: 'FROM scratch',
    'conf/a': '',
  });
  const config = configWith({ app: 'app' });
  const first = colour(await frozen(config)).planned.text;
  const moved = `${checkout}-moved`;
  await cp(checkout, moved, { recursive: true });
  checkout = moved;
  expect(colour(await frozen(config)).planned.text).toBe(first);
});
