import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab } from '../support/appliance.ts';
import { Load } from '../support/load.ts';

// Updates of an installed appliance that serves the reference application, from version N to N+1 and back, with programs
// that live and programs that do not. The steps build on each other.
const name = 'selfupdate';
const port = 29_740;
const repository = join(import.meta.dirname, '..', '..');
const isRoot = process.getuid?.() === 0;

let lab: Lab;
let containers: string;
const scratch = () => join(lab.root, 'scratch');
const prefix = () => join(lab.root, 'opt');
const command = () => join(prefix(), 'bin', 'appliance');
const sourceOf = (version: string) => join(scratch(), 'versions', version);

async function run(file: string, ...args: readonly string[]) {
  const { APPLIANCE_ROOT: _, ...env } = process.env;
  const { exitCode, stdout, stderr } = await execa(file, args, {
    reject: false,
    stdin: 'ignore',
    env,
    extendEnv: false,
    timeout: 400_000,
    maxBuffer: 10_000_000,
  });
  return { exit: exitCode, stdout, stderr };
}
const appliance = (...args: readonly string[]) => run(command(), ...args);
const json = async (...args: readonly string[]) => {
  const { exit, stdout } = await appliance(...args, '--json');
  return { exit, ...JSON.parse(stdout) };
};
const program = async () => (await readlink(join(prefix(), 'program'))).replace(/-[0-9a-f]{12}$/, '');
/** Version of the agent that answers. */
const agentVersion = async () => (await json('version')).agent?.version;
const ids = async () => (await run('docker', 'ps', '--quiet', '--no-trunc', '--filter', `name=^${name}-`)).stdout;
const lastAudit = async () => {
  const [entry] = JSON.parse((await appliance('audit', '--limit', '1', '--json')).stdout);
  return [entry.action, entry.target, entry.result];
};

type Change = readonly [file: string, from: string, to: string];

/** The sources of another version. */
async function makeVersion(version: string, ...changes: readonly Change[]): Promise<string> {
  const directory = sourceOf(version);
  await mkdir(directory, { recursive: true });
  const script = 'git ls-files -co --exclude-standard -z | tar -c --null --ignore-failed-read -T - | tar -x -C "$1"';
  await execa('sh', ['-c', script, 'sh', directory], { cwd: repository });
  // From a place as deep as the one where an archive is unpacked.
  const modules = relative(join(prefix(), 'unpacked', version), join(repository, 'node_modules'));
  await symlink(modules, join(directory, 'node_modules'));
  for (const [file, from, to] of [
    ['package.json', '"version": "0.1.0"', `"version": "${version}"`] as const,
    ...changes,
  ]) {
    const text = await readFile(join(directory, file), 'utf8');
    expect(text).toContain(from);
    await writeFile(join(directory, file), text.replace(from, to));
  }
  return directory;
}

/** Its agent ends at once, after it has brought the state up to date. */
const dies: Change = [
  'src/agent/main.ts',
  'const hub = new EventHub();',
  "if (database.open) throw new Error('this program does not live');\n    const hub = new EventHub();",
];
const main = 'async function main(argv: readonly string[]): Promise<number> {';
/** It cannot even be asked for help. */
const helpless: Change = ['src/main.ts', main, `${main}\n  if (argv[0] === '--help') return 3;`];
/** It adds a column to a table of the state. */
const slots = 'CREATE INDEX schedule_runs_by_slot ON schedule_runs (job, slot);`,';
const migrates: Change = [
  'src/operations/schedule-store.ts',
  slots,
  `${slots}\n    'ALTER TABLE schedule_runs ADD COLUMN note TEXT',`,
];

const load = () => new Load({ port, path: '/', keepAlive: 2, fresh: 1, pause: 40 });

describe.runIf(isRoot)('appliance self-update', () => {
  beforeAll(async () => {
    lab = await Lab.make({ name, port, pool: '10.186.0.0/16' });
    const bin = join(prefix(), 'runtime', 'bin');
    await mkdir(bin, { recursive: true });
    await symlink(process.execPath, join(bin, 'node'));
    await symlink((await execa('sh', ['-c', 'command -v npm'])).stdout, join(bin, 'npm'));
    const first = await makeVersion('1.0.0');
    const options = ['--prefix', prefix(), '--root', lab.root];
    expect(await run(join(first, 'install.sh'), ...options)).toMatchObject({ exit: 0, stderr: '' });
    expect(await appliance('deploy', 'v1.0', '--yes')).toMatchObject({ exit: 0 });
    containers = await ids();
  }, 900_000);

  afterAll(async () => {
    await run(join(prefix(), 'bin', 'appliance-service'), 'stop');
    await lab?.destroy();
  });

  it('puts the next version in force while requests are served', async () => {
    const next = await makeVersion('1.1.0');
    const planned = await json('self-update', next, '--plan');
    expect(planned).toMatchObject({ exit: 0, result: 'planned', from: { version: '1.0.0' }, to: { version: '1.1.0' } });
    expect(planned.steps.join('\n')).toContain('restart the agent');
    expect(await program()).toBe('programs/1.0.0');

    const clients = load();
    const done = await json('self-update', next);
    const { requests, losses } = await clients.stop();
    expect(done).toMatchObject({ exit: 0, result: 'done', agent: { version: '1.1.0' } });
    expect(losses).toEqual([]);
    expect(requests).toBeGreaterThan(50);
    expect(await agentVersion()).toBe('1.1.0');
    expect(await ids()).toBe(containers);
    expect(await lastAudit()).toEqual(['self-update', '1.0.0 to 1.1.0', 'begun']);
    expect(await readdir(prefix())).not.toContain('trial');
    expect((await readdir(join(prefix(), 'programs'))).length).toBe(2);
  }, 300_000);

  it('has nothing to do for the version that runs, and refuses an older one', async () => {
    expect(await json('self-update', sourceOf('1.1.0'))).toMatchObject({ exit: 0, result: 'nothing' });
    const older = await json('self-update', sourceOf('1.0.0'));
    expect(older).toMatchObject({
      exit: 2,
      error: { code: 'usage', message: '1.0.0 is older than 1.1.0, which runs' },
    });
    expect(older.error.hint).toContain('--allow-older');
    expect(await program()).toBe('programs/1.1.0');
  });

  it('takes back a version whose agent does not live, with the state that it has changed', async () => {
    const clients = load();
    const failed = await json('self-update', await makeVersion('1.2.0', migrates, dies));
    const { losses } = await clients.stop();
    expect(failed).toMatchObject({ exit: 1, error: { code: 'operation_failed' } });
    expect(failed.error.message).toContain('1.2.0 was not put in force');
    expect(failed.error.message).toContain('this program does not live');
    expect(failed.error.left).toContain('1.1.0 was put back and runs again');
    expect(losses).toEqual([]);
    expect(await program()).toBe('programs/1.1.0');
    expect(await agentVersion()).toBe('1.1.0');
    expect(await ids()).toBe(containers);
    expect(await lastAudit()).toEqual(['self-update', '1.1.0 to 1.2.0', 'taken back']);
    expect((await appliance('audit', 'verify')).exit).toBe(0);
    expect(await json('self-update', '--back')).toMatchObject({ exit: 2, error: { code: 'usage' } });
  }, 300_000);

  it('takes back a version that installs itself and does not start', async () => {
    const { pid } = (await json('version')).agent;
    const failed = await json('self-update', await makeVersion('1.2.1', helpless));
    expect(failed).toMatchObject({ exit: 1, error: { code: 'operation_failed' } });
    expect(failed.error.message).toContain('does not start');
    expect(await program()).toBe('programs/1.1.0');
    expect((await json('version')).agent).toMatchObject({ version: '1.1.0' });
    expect((await json('version')).agent.pid).not.toBe(pid);
  }, 300_000);

  it('is refused to whom is not root', async () => {
    const other =
      '--reuid 65534 --regid 65534 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search';
    const { exit, stderr } = await run('setpriv', ...other.split(' '), command(), 'self-update', '--back');
    expect(stderr).toContain('an update needs root');
    expect(exit).toBe(7);
  });

  it('is taken back by the start of the agent, when the update itself was killed', async () => {
    const updating = execa(command(), ['self-update', sourceOf('1.2.0')], { reject: false, stdin: 'ignore' });
    await expect.poll(program, { timeout: 120_000, interval: 20 }).toBe('programs/1.2.0');
    updating.kill('SIGKILL');
    await updating;
    // Its installer ends as soon as nobody listens to it, before or after it has restarted the agent.
    await run(join(prefix(), 'bin', 'appliance-service'), 'restart');
    await expect.poll(program, { timeout: 60_000, interval: 200 }).toBe('programs/1.1.0');
    await expect.poll(agentVersion, { timeout: 60_000, interval: 500 }).toBe('1.1.0');
    expect(await ids()).toBe(containers);
  }, 300_000);

  it('is said again after it was killed, and another one meanwhile is refused', async () => {
    const next = await makeVersion('1.3.0');
    const interrupted = execa(command(), ['self-update', next], { reject: false, stdin: 'ignore' });
    await expect.poll(() => existsSync(join(prefix(), 'trial')), { timeout: 60_000, interval: 20 }).toBe(true);
    expect(await json('self-update', next)).toMatchObject({ exit: 5, error: { code: 'busy' } });
    interrupted.kill('SIGINT');
    expect((await interrupted).exitCode).toBe(130);
    expect(existsSync(join(prefix(), 'trial'))).toBe(false);
    expect(await agentVersion()).toBe('1.1.0');

    const killed = execa(command(), ['self-update', next], { reject: false, stdin: 'ignore' });
    await expect.poll(() => existsSync(join(prefix(), 'trial')), { timeout: 60_000, interval: 20 }).toBe(true);
    killed.kill('SIGKILL');
    await killed;
    expect(await agentVersion()).toBe('1.1.0');
    expect(await json('self-update', next)).toMatchObject({ exit: 0 });
    expect(await agentVersion()).toBe('1.3.0');
    expect(await program()).toBe('programs/1.3.0');
  }, 300_000);

  it('waits for no operation unless it is told to', async () => {
    const next = await makeVersion('1.4.0', migrates);
    const restarting = execa(command(), ['restart', 'backend'], { reject: false, stdin: 'ignore' });
    await expect
      .poll(async () => (await json('status')).operation?.kind, { timeout: 60_000, interval: 50 })
      .toBe('restart');
    const busy = await json('self-update', next);
    expect(busy).toMatchObject({ exit: 5, error: { code: 'busy' } });
    expect(busy.error.message).toMatch(/^restart by root runs since /);
    expect(await json('self-update', next, '--wait', '5m')).toMatchObject({ exit: 0, result: 'done' });
    expect((await restarting).exitCode).toBe(0);
  }, 300_000);

  it('goes back to a version that cannot read the state, if nothing was written since', async () => {
    const copy = (await readdir(join(lab.root, 'lib'))).filter((file) =>
      /^state-for-1\.3\.0-.*-before-1\.4\.0-/.test(file),
    );
    expect(copy).toHaveLength(1);
    const back = await json('self-update', '--back');
    expect(back).toMatchObject({ exit: 0, result: 'done', agent: { version: '1.3.0' } });
    expect(await program()).toBe('programs/1.3.0');

    expect(await json('self-update', sourceOf('1.4.0'))).toMatchObject({ exit: 0, result: 'done' });
    expect((await appliance('releases', 'pin', 'v1.0')).exit).toBe(0);
    const refused = await json('self-update', '--back');
    expect(refused).toMatchObject({ exit: 9, error: { code: 'manual_intervention' } });
    expect(refused.error.message).toContain('audit');
    expect(await agentVersion()).toBe('1.4.0');
  }, 300_000);

  it('takes an archive, and goes back where both read the state', async () => {
    await makeVersion('1.5.0', migrates);
    const archive = join(scratch(), 'appliance-1.5.0.tar.gz');
    await execa('tar', ['-czf', archive, '-C', join(scratch(), 'versions'), '1.5.0']);
    expect(await json('self-update', archive)).toMatchObject({ exit: 0, agent: { version: '1.5.0' } });
    expect(await json('self-update', '--back', '--plan')).toMatchObject({ exit: 0, result: 'planned' });
    expect(await json('self-update', '--back')).toMatchObject({ exit: 0, agent: { version: '1.4.0' } });
    expect(await json('self-update', '--back')).toMatchObject({ exit: 0, agent: { version: '1.5.0' } });
    expect((await readdir(prefix())).filter((file) => /unpacked|trial/.test(file))).toEqual([]);
  }, 300_000);
});
