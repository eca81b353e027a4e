import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { Lab } from '../support/appliance.ts';
import { removeTraces } from '../support/traces.ts';
import { dyingAt } from './lab.ts';

// S4-38: a bare host is made the appliance of a snapshot by a command that dies: while files come, between them and the
// first container, in each step. Typed again, it goes on or finishes what it was at; in the end the appliance is whole.
const name = 'crashrecover';
const port = 29_560;
const patience = 600_000;
const restic = 'restic';
/** Where it dies: after some milliseconds, as soon as restic runs, in a step, or when all is done but said. */
const deaths: readonly (number | string)[] = [
  ...[600, 1_200, 2_600, restic],
  ...['start-core', 'adopt-recovery', 'load-database', 'swap-database', 'start-colour', 'finish-restore'].map(
    (step) => `${step} running 150`,
  ),
  'end-recovery done',
];
let lab: Lab;
let scratch: string;

const docker = async (...argv: string[]) => (await execa('docker', argv)).stdout.trim();
const sql = (text: string) =>
  docker('exec', `${name}-core-postgres-1`, 'psql', '-XqAt', '-U', 'routing', '-d', 'routing_ml', '-c', text);

/** Containers of restic that a recovery has. */
const containers = () => docker('ps', '--all', '--quiet', '--filter', 'name=^recovery-');

/** @returns how it ended, and whether it was killed */
async function recover(death?: number | string) {
  const words = ['backup', 'recover', join(scratch, 'repository'), '--key-file', join(scratch, 'key')];
  const inStep = typeof death === 'string' && death !== restic;
  const { execArgv, env } = inStep ? dyingAt(death) : { execArgv: [], env: {} };
  const child = execa(
    process.execPath,
    ['--no-warnings', ...execArgv, lab.entry, '--root', join(scratch, 'root'), ...words, '--json'],
    { reject: false, stdin: 'ignore', timeout: patience, env },
  );
  const kill = (): void => void child.kill('SIGKILL');
  if (typeof death === 'number') setTimeout(kill, death).unref();
  if (death === restic) void onceThere(containers).then(kill);
  const { signal, exitCode, stdout, stderr } = await child;
  return { killed: signal === 'SIGKILL', exitCode, last: stdout.split('\n').at(-1) ?? '', stderr };
}

async function onceThere(list: () => Promise<string>): Promise<void> {
  for (let tries = 0; tries < 2_000 && (await list()) === ''; tries += 1) await delay(20);
}

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), `${name}-`));
  await removeTraces('recovery');
  lab = await Lab.make({ name, port, pool: '10.198.0.0/16' });
  for (const verb of [
    ['deploy', 'v1.0', '--yes'],
    ['backup', 'now'],
  ]) {
    const { exitCode, document } = await lab.json(verb);
    expect({ exitCode, error: document.error }).toEqual({ exitCode: 0, error: undefined });
    if (verb[0] === 'deploy') await sql('CREATE TABLE kept (n int); INSERT INTO kept SELECT generate_series(1, 5000)');
  }
  await cp(join(lab.root, 'lib/backups/repository'), join(scratch, 'repository'), { recursive: true });
  await writeFile(join(scratch, 'key'), await readFile(join(lab.root, 'lib/backups/key')), { mode: 0o600 });
}, patience);
afterAll(async () => {
  await lab?.destroy();
  if (scratch !== undefined) await rm(scratch, { recursive: true, force: true });
}, patience);

beforeEach(async () => {
  await lab.destroy();
  await rm(join(scratch, 'root'), { recursive: true, force: true });
}, patience);

it.each(deaths)(
  'killed at %s, it ends as the same appliance when it is typed again',
  { timeout: patience },
  async (death) => {
    const root = join(scratch, 'root');
    const first = await recover(death);
    expect(first.killed, `${first.last} ${first.stderr}`).toBe(true);
    const { exitCode, last, stderr } = await recover();
    expect({ exitCode, last, stderr }).toMatchObject({ exitCode: 0 });
    expect(await sql('SELECT count(*) FROM kept')).toBe('5000');
    const databases = "SELECT string_agg(datname, ' ') FROM pg_database WHERE datname LIKE 'routing%'";
    expect(await sql(databases)).toBe('routing_ml');
    const answer = await fetch(`http://127.0.0.1:${port}/health`);
    expect([answer.status, answer.headers.get('x-appliance-release')]).toEqual([200, 'v1.0']);
    expect((await readdir(join(root, 'lib/backups'))).filter((entry) => /recover/.test(entry))).toEqual([]);
    expect(await readdir(join(root, 'lib/backups/restore')).catch(() => [])).toEqual([]);
    expect(await containers()).toBe('');
    expect(await readdir(join(root, 'run/restic-recovery')).catch(() => [])).toEqual([]);
  },
);

it('two at once: one recovers, the other is told so and touches nothing', { timeout: patience }, async () => {
  const first = recover();
  await onceThere(containers);
  const second = await recover();
  expect(second.exitCode).toBe(5);
  expect(JSON.parse(second.last)).toMatchObject({
    error: { code: 'busy', message: expect.stringMatching(/backup recover by .* \(process \d+\)/) },
  });
  expect(await first).toMatchObject({ exitCode: 0 });
  expect(await sql('SELECT count(*) FROM kept')).toBe('5000');
  expect(await containers()).toBe('');
});
