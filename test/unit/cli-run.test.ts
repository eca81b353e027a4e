import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Client } from '../../src/api/client.ts';
import type { ApplianceEvent, OperationResult } from '../../src/api/schema.ts';
import { localTools } from '../../src/config/tools.ts';
import { ApplianceError } from '../../src/lib/errors.ts';
import { ExitNow, face, temporaryRoot } from '../e2e/stage/face.ts';
import { openStage } from '../e2e/stage/stage.ts';

const place = temporaryRoot();
/** Where operations take long enough for somebody else to come in between, on a busy machine too. */
const slow = temporaryRoot();
/** Where one begins well before a `--timeout` of two seconds is up, and ends well after. */
const slower = temporaryRoot();
const empty = temporaryRoot();
let closings: (() => Promise<void>)[];

beforeAll(async () => {
  closings = [
    await openStage({ root: place.root, stepTime: 20, logPause: 20 }),
    await openStage({ root: slow.root, stepTime: 250, logPause: 20 }),
    await openStage({ root: slower.root, stepTime: 1_000, logPause: 20 }),
  ];
});
afterAll(async () => {
  for (const close of closings) await close();
  for (const { remove } of [place, slow, slower, empty]) remove();
});

const run = (line: string, around?: Parameters<typeof face>[2]) => face(place.root, line.split(' '), around).ended;
const slowly = (line: string) => face(slow.root, line.split(' ')).ended;
const documents = (text: string): unknown[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));

describe('looking', () => {
  it('status tells people at a glance, and scripts everything', async () => {
    const text = await run('status');
    expect(text).toMatchObject({ exit: 0, stderr: '' });
    expect(text.stdout).toContain('✓ routing-ml  v1.0 on blue, live for 2 h 14 min');
    expect(text.stdout).toContain('blue 100 % · green 0 %');
    expect(text.stdout).toMatch(/warm +v0\.9 on green, rollback in about a second\n/);
    const json = await run('status --json');
    expect(documents(json.stdout)).toHaveLength(1);
    expect(documents(json.stdout)[0]).toMatchObject({
      name: 'routing-ml',
      traffic: { blue: 100, green: 0 },
      verdict: 'pass',
    });
  });

  it.each([
    'ps',
    'stats',
    'releases',
    'releases show v1.0',
    'releases diff v0.9 v1.0',
    'operations',
    'audit',
    'plan v1.1',
    'rollback --plan',
    'version',
    'agent',
    'logs --tail 3',
  ])('%s answers as text and as JSON', async (line) => {
    const text = await run(line, { terminal: 80 });
    expect(text.exit).toBe(0);
    expect(text.stdout.trim()).not.toBe('');
    const json = await run(`${line} --json`);
    expect(json).toMatchObject({ exit: 0, stderr: '' });
    expect(documents(json.stdout).length).toBeGreaterThan(0);
  });

  it('operations says when each one began, and who began it', async () => {
    await run('restart');
    const { stdout } = await run('operations');
    expect(stdout).toMatch(/^ +OPERATION +WHAT +WHEN +BY +RESULT/);
    expect(stdout).toMatch(/restart +(?:\d+ s) ago +anna +done/);
    const [newest] = documents((await run('operations --json')).stdout).flat();
    expect(newest).toMatchObject({ kind: 'restart', actor: 'anna', startedAt: expect.stringMatching(/^\d{4}-.*Z$/) });
  });

  it('audit verify ends with the status of its verdict', async () => {
    const proof = await run('audit verify');
    expect(proof.exit).toBe(3);
    expect(proof.stdout).toContain('the chain is broken at entry 2');
  });

  it('logs takes services, patterns and an amount', async () => {
    const { stdout } = await run('logs backend-1 --grep INFO --tail 40 --json');
    const lines = documents(stdout);
    expect(lines.length).toBeGreaterThan(2);
    for (const line of lines)
      expect(line).toMatchObject({ service: 'backend-1', text: expect.stringContaining('INFO') });
    expect(await run('logs nope')).toMatchObject({ exit: 6, stdout: '' });
    expect((await run('logs --grep [')).stderr).toContain('Invalid regular expression');
  });

  it('logs -f ends with Ctrl-C and says nothing about it', async () => {
    const following = face(place.root, ['logs', '-f', '--tail', '2']);
    await following.says(/INFO request 3 /);
    following.interrupt();
    expect(await following.ended).toMatchObject({ exit: 130, stderr: '' });
  });

  it('stats -f draws over itself on a terminal', async () => {
    const following = face(place.root, ['stats', '-f'], { terminal: 80 });
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the sequence that moves the cursor up
    await following.says(/\u001b\[\d+A\u001b\[J/);
    following.interrupt();
    expect((await following.ended).exit).toBe(130);
  });

  it('pins and unpins', async () => {
    expect((await run('releases pin v1.0')).stdout).toContain('v1.0 is pinned');
    expect((await run('releases unpin v1.0')).stdout).toContain('no longer pinned');
  });
});

describe('operations', () => {
  it('deploy shows its steps on stderr and its result on stdout', async () => {
    const { exit, stdout, stderr } = await run('deploy v1.1');
    expect(exit).toBe(0);
    expect(stdout).toMatch(/^✓ v1\.1 is live \(was v1\.0\), [\d.]+ m?s; traffic was on it after [\d.]+ m?s\n$/);
    expect(stderr).toMatch(/^deploy v1\.1\n✓ check the host +100 ms\n/);
    expect(await run('rollback v1.0 --quiet')).toMatchObject({ exit: 0, stderr: '' });
  });

  it('deploy --json is a line per event, and the result last', async () => {
    const { exit, stdout, stderr } = await run('deploy v1.1 --json');
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
    const lines = documents(stdout);
    expect(lines[0]).toMatchObject({ event: 'operation-started', target: 'v1.1' });
    expect(lines.at(-1)).toMatchObject({ kind: 'deploy', to: 'v1.1', result: 'done' });
    expect(lines.filter((line) => JSON.stringify(line).includes('operation-ended'))).toEqual([]);
  });

  it('a deploy that is taken back fails with the reason, what was left and what to do', async () => {
    const text = await run('deploy v1.2-broken');
    expect(text).toMatchObject({ exit: 1, stdout: '' });
    expect(text.stderr).toMatch(
      /✗ deploy v1\.2-broken failed and was taken back after .*did not become healthy: 503\n/,
    );
    expect(text.stderr).toContain('goes on serving');
    expect(text.stderr).toContain('→ appliance logs backend-1');
    const json = await run('deploy v1.2-broken --json');
    expect(json).toMatchObject({ exit: 1, stderr: '' });
    expect(documents(json.stdout).at(-1)).toMatchObject({
      result: 'rolled_back',
      error: { code: 'unhealthy', exit: 1 },
    });
  });

  it('an unknown tag is not found, on stdout with --json', async () => {
    expect(await run('deploy nope')).toMatchObject({ exit: 6, stdout: '' });
    const json = await run('deploy nope --json');
    expect(json).toMatchObject({ exit: 6, stderr: '' });
    expect(documents(json.stdout)).toEqual([
      {
        error: {
          code: 'tag_not_found',
          message: 'the repository has no tag nope',
          hint: 'did you mean v1.0?',
          exit: 6,
        },
      },
    ]);
  });

  it('says who holds the lock when two come at once', async () => {
    const first = face(slow.root, ['deploy', 'v1.3']);
    await first.says(/check the host/);
    const second = await slowly('deploy v1.4');
    expect(second.exit).toBe(5);
    expect(second.stderr).toContain('deploy is running');
    expect((await first.ended).exit).toBe(0);
  });

  it('Ctrl-C lets go of a deploy of the agent, which goes on and can be followed', async () => {
    const deploy = face(slow.root, ['deploy', 'v1.5']);
    await deploy.says(/check the host/);
    const followed = face(slow.root, ['follow']);
    deploy.interrupt();
    const { exit, stderr } = await deploy.ended;
    expect(exit).toBe(130);
    expect(stderr).toMatch(
      /interrupted; deploy v1\.5 goes on in the agent\n.*follow it with: appliance follow deploy-\d+/,
    );
    expect(await followed.ended).toMatchObject({ exit: 0, stdout: expect.stringContaining('v1.5 is live') });
  });

  it('--timeout lets go as well, with another status', async () => {
    const { exit, stderr } = await face(slower.root, ['deploy', 'v1.6', '--timeout', '2s']).ended;
    expect(exit).toBe(1);
    expect(stderr).toContain('the time of --timeout is up; deploy v1.6 goes on in the agent');
    const follow = await face(slower.root, ['follow', '--json']).ended;
    expect(documents(follow.stdout).at(-1)).toMatchObject({ result: 'done', to: 'v1.6' });
  });

  it('--detach returns when the operation has begun', async () => {
    const { exit, stdout, stderr } = await slowly('deploy v1.7 --detach');
    expect({ exit, stdout }).toEqual({ exit: 0, stdout: '' });
    expect(stderr).toMatch(/goes on in the agent; follow it with: appliance follow deploy-\d+/);
    await slowly('follow');
    expect((await slowly('follow')).exit).toBe(6);
  });

  it('goes on when nobody reads stdout any more', async () => {
    const deploy = face(place.root, ['deploy', 'v1.8']);
    await deploy.says(/check the host/);
    deploy.closeOutput();
    expect((await deploy.ended).exit).toBe(0);
  });

  it('never removes data without a typed name', async () => {
    const refused = await run('down --volumes');
    expect(refused.exit).toBe(2);
    expect(refused.stderr).toContain('there is no terminal to ask on');
    expect((await run('down --volumes --yes')).stdout).toContain('down with volumes done');
    expect((await run('down')).stdout).toMatch(/^✓ down done/);
  });
});

describe('bad input', () => {
  it.each([
    ['depoy v1', 2],
    ['deploy', 2],
    ['deploy v1 --strategy x', 2],
    ['status --timeout x', 2],
    ['logs --tail x', 2],
    ['audit --limit 0', 2],
    ['completion tcsh', 2],
    ['help nope', 2],
  ])('"%s" ends with %i and one document', async (line, exit) => {
    expect(await run(line)).toMatchObject({ exit, stdout: '' });
    const json = await run(`--json ${line}`);
    expect(json).toMatchObject({ exit, stderr: '' });
    expect(documents(json.stdout)).toEqual([{ error: expect.objectContaining({ code: 'usage', exit }) }]);
  });

  it('exec has no --json', async () => {
    expect(await run('exec --json backend id')).toMatchObject({ exit: 2, stderr: '' });
  });
});

describe('help, version, completion', () => {
  it('needs no agent', async () => {
    const at = (line: string) => face(empty.root, line.split(' ')).ended;
    expect((await at('--help')).stdout).toContain('Usage: appliance');
    expect((await at('help deploy')).stdout).toContain('appliance deploy: ');
    expect((await at('deploy --help')).stdout).toBe((await at('help deploy')).stdout);
    expect((await at('releases diff --help')).stdout).toContain('appliance releases diff');
    expect(await at('--version')).toMatchObject({ exit: 0, stdout: 'appliance 0.0.1\n' });
    expect((await at('version')).stdout).toContain('agent     not running');
    expect(await at('agent')).toMatchObject({ exit: 8 });
  });

  it('explains the verbs that share a first word', async () => {
    const help = await run('config --help');
    expect(help).toMatchObject({ exit: 0, stderr: '', stdout: expect.stringContaining('appliance config <verb>') });
    for (const verb of ['config check', 'config show', 'config schema']) expect(help.stdout).toContain(`  ${verb} `);
    expect((await run('help config')).stdout).toBe(help.stdout);
    expect((await run('config')).exit).toBe(2);
  });

  it.each([
    ['--json', 'status'],
    ['--json --help', 'releases show'],
    ['help --json', 'status'],
    ['config --help --json', 'config check'],
    ['deploy --help --json', 'deploy'],
  ])('"%s" is one document of verbs', async (line, name) => {
    const { exit, stdout } = await run(line, { terminal: 80 });
    expect(exit).toBe(0);
    expect(documents(stdout)).toEqual([
      { verbs: expect.arrayContaining([expect.objectContaining({ name, usage: expect.stringContaining(name) })]) },
    ]);
  });

  it('version tells its own when the agent may not be asked', async () => {
    const refused = new ApplianceError('not_permitted', 'you may not use its sockets');
    const text = await run('version', { refused });
    expect(text).toMatchObject({ exit: 0, stderr: '', stdout: expect.stringContaining('agent     not accessible') });
    expect(text.stdout).toContain('appliance 0.0.1');
    expect(documents((await run('version --json', { refused })).stdout)).toEqual([
      expect.objectContaining({
        version: '0.0.1',
        agent: null,
        problem: expect.objectContaining({ code: 'not_permitted' }),
      }),
    ]);
    expect((await run('agent', { refused })).exit).toBe(7);
  });

  it('--version has a document too', async () => {
    expect(documents((await run('--json --version')).stdout)).toEqual([{ version: '0.0.1' }]);
  });

  it('keeps the options of a verb in one column', async () => {
    const { stdout } = await run('help deploy');
    const columns = stdout.split('\n').flatMap((line) => /^ +(?:-\w, )?--.*? {2,}(?=\w)/.exec(line)?.[0].length ?? []);
    expect(columns.length).toBe(6);
    expect(new Set(columns).size).toBe(1);
  });

  it('completes names from the agent, and nothing without one', async () => {
    expect((await run('__complete tag')).stdout).toBe('v1.0\nv0.9\n');
    expect((await run('__complete service')).stdout).toContain('backend-1\n');
    expect(await face(empty.root, ['__complete', 'tag']).ended).toEqual({ exit: 0, stdout: '', stderr: '' });
  });
});

describe('configuration files', () => {
  const problems = [{ line: 3, column: 5, path: 'services.backend.role', message: 'write app, core, …' }];
  const tools = {
    checkConfig: async ({ file }: { file: string | undefined }) => ({
      file: file ?? '/etc/x.yaml',
      problems: file ? [] : problems,
      warnings: file === 'odd.yaml' ? problems : [],
    }),
    draftConfig: async () => ({ text: 'name: x\n', notes: ['backend is an app: it has a build'] }),
    writeConfig: async () => '/etc/x.yaml',
    configSchema: async () => ({ type: 'object' }),
    showConfig: async () => ({ name: 'x', edge: { http: '127.0.0.1:8080' } }),
    listPolicies: async ({ root }: { root: string | undefined }) => localTools.listPolicies({ root }),
  };

  it('config check gives each mistake with its place, and exit 2', async () => {
    const bad = await run('config check', { tools });
    expect(bad.exit).toBe(2);
    expect(bad.stdout).toContain('/etc/x.yaml:3:5: services.backend.role: write app, core, …');
    expect(await run('config check good.yaml', { tools })).toMatchObject({ exit: 0, stdout: '✓ good.yaml is good\n' });
    const json = await run('config check --json', { tools });
    expect(documents(json.stdout)).toEqual([{ file: '/etc/x.yaml', verdict: 'fail', problems, warnings: [] }]);
  });

  it('config check gives warnings with their places, and exit 0', async () => {
    const odd = await run('config check odd.yaml', { tools });
    expect(odd.exit).toBe(0);
    expect(odd.stdout).toBe(
      '✓ odd.yaml is good; 1 warning\n  odd.yaml:3:5: services.backend.role: write app, core, …\n',
    );
  });

  it('config policies lists what a deploy can name, and where an own one cannot work', async () => {
    const listed = await run('config policies', { tools });
    expect(listed).toMatchObject({ exit: 0, stderr: '' });
    expect(listed.stdout).toContain('✓ flash, FLASH\n  5 % for 15 min, 25 % for 10 min');
    expect(listed.stdout).toContain('✓ routing-ml, Routing-ML platform\n  all traffic at once; then watched for 1 h\n');
    const root = await mkdtemp(join(tmpdir(), 'policies-'));
    try {
      await mkdir(join(root, 'etc/policies'), { recursive: true });
      await writeFile(
        join(root, 'etc/policies/bad.yaml'),
        'name: bad\ntitle: Bad\ngates:\n  - { id: a, metric: erors }\n',
      );
      const bad = await run(`config policies --root ${root}`, { tools });
      expect(bad.exit).toBe(2);
      expect(bad.stdout).toContain(`${root}/etc/policies/bad.yaml:4:14: gates[0].metric: "erors" is not one of`);
      const [json] = documents((await run(`config policies --json --root ${root}`, { tools })).stdout);
      expect(json).toContainEqual(
        expect.objectContaining({
          name: 'bad',
          own: true,
          title: null,
          problems: [expect.objectContaining({ line: 4 })],
        }),
      );
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  });

  it('config show, config schema and init answer', async () => {
    expect((await run('config show', { tools })).stdout).toBe('name: x\nedge:\n  http: 127.0.0.1:8080\n');
    expect(JSON.parse((await run('config schema', { tools })).stdout)).toEqual({ type: 'object' });
    expect((await run('init', { tools })).stdout).toContain('✓ wrote /etc/x.yaml');
    expect((await run('init --print', { tools })).stdout).toBe('name: x\n');
  });
});

describe('an operation in this very process', () => {
  const time = '2030-01-01T00:00:00.000Z';
  const started: ApplianceEvent = {
    event: 'operation-started',
    time,
    operation: 'deploy-1',
    kind: 'deploy',
    target: 'v2',
    actor: { uid: 0, user: 'root', ssh: null },
    steps: [],
  };
  const result: OperationResult = {
    operation: 'deploy-1',
    kind: 'deploy',
    from: 'v1',
    to: 'v2',
    result: 'rolled_back',
    startedAt: time,
    actor: 'root',
    seconds: 1,
    shiftSeconds: null,
    steps: [],
    verdicts: [],
    error: { code: 'interrupted', message: 'interrupted', left: 'v1 goes on serving', exit: 130 },
  };
  /**
   * Keeps to the contract of `Client`: an abort takes the operation back, and its stream goes on to the end.
   * @param onWait told when all that was told is taken in, and what comes next is waited for
   */
  const hosted = (begins: boolean, onWait: () => void = () => undefined): Client => ({
    host: 'in-process',
    access: 'operator',
    ask: async () => {
      throw new ApplianceError('internal', 'not asked here');
    },
    async *stream<Name extends string>(_: Name, __: unknown, signal?: AbortSignal): AsyncGenerator<never> {
      const aborted = new Promise((resolve) => signal?.addEventListener('abort', resolve, { once: true }));
      if (begins) yield started as never;
      onWait();
      await aborted;
      if (begins) yield { event: 'operation-ended', time, operation: 'deploy-1', kind: 'deploy', result } as never;
      else await new Promise(() => undefined);
    },
    close: async () => undefined,
  });

  it('Ctrl-C takes it back and waits for that', async () => {
    const waits = Promise.withResolvers<void>();
    const deploy = face(empty.root, ['deploy', 'v2'], { inProcess: hosted(true, waits.resolve) });
    await waits.promise;
    deploy.interrupt();
    const { exit, stderr } = await deploy.ended;
    expect(exit).toBe(130);
    expect(stderr).toContain('what was done is being taken back');
    expect(stderr).toContain('v1 goes on serving');
  });

  it('Ctrl-C before it has begun touches nothing', async () => {
    const waits = Promise.withResolvers<void>();
    const deploy = face(empty.root, ['deploy', 'v2', '--json'], { inProcess: hosted(false, waits.resolve) });
    await waits.promise;
    deploy.interrupt();
    const { exit, stdout } = await deploy.ended;
    expect(exit).toBe(130);
    expect(documents(stdout)).toEqual([
      {
        error: {
          code: 'interrupted',
          message: 'interrupted before deploy v2 began',
          left: 'nothing was touched',
          exit: 130,
        },
      },
    ]);
  });

  it('Ctrl-C while the program is still starting touches nothing', async () => {
    const deploy = face(empty.root, ['deploy', 'v2'], { inProcess: hosted(true) });
    await deploy.says(/deploy v2/);
    deploy.interrupt();
    const { exit, stderr } = await deploy.ended;
    expect(exit).toBe(130);
    expect(stderr).toContain('interrupted before deploy v2 began');
  });

  it('a second Ctrl-C ends the process at once', async () => {
    const waits = Promise.withResolvers<void>();
    const deploy = face(empty.root, ['deploy', 'v2'], { inProcess: hosted(true, waits.resolve) });
    await waits.promise;
    deploy.interrupt();
    expect(() => deploy.interrupt()).toThrow(ExitNow);
    await deploy.ended;
  });

  it('--detach needs an agent', async () => {
    const { exit, stderr } = await face(empty.root, ['deploy', 'v2', '--detach'], { inProcess: hosted(true) }).ended;
    expect(exit).toBe(8);
    expect(stderr).toContain('nothing was touched');
  });
});
