import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { Lab } from '../support/appliance.ts';

// S4-38: a bare host is made the appliance of a snapshot by a command that dies again and again: while files come, between
// them and the first container, and in each step. Typed again, it goes on; in the end the appliance is whole.
const name = 'crashrecover';
const port = 29_560;
const patience = 600_000;
const eventSchema = z.object({ event: z.literal('step'), name: z.string(), state: z.string() });
/** Where it dies, one life after the other: after some milliseconds, or in a step. */
const deaths: readonly (number | string)[] = [
  ...[1_200, 2_600],
  ...['start-core', 'adopt-recovery', 'load-database', 'swap-database', 'start-colour', 'finish-restore'],
];
let lab: Lab;
let scratch: string;

const docker = async (...argv: string[]) => (await execa('docker', argv)).stdout.trim();
const sql = (text: string) =>
  docker('exec', `${name}-core-postgres-1`, 'psql', '-XqAt', '-U', 'routing', '-d', 'routing_ml', '-c', text);

/** @returns how it ended, and whether it was killed */
async function recover(death?: number | string) {
  const words = ['backup', 'recover', join(scratch, 'repository'), '--key-file', join(scratch, 'key')];
  const child = execa(
    process.execPath,
    ['--no-warnings', lab.entry, '--root', join(scratch, 'root'), ...words, '--json'],
    {
      reject: false,
      stdin: 'ignore',
      timeout: patience,
    },
  );
  const kill = (): void => void child.kill('SIGKILL');
  if (typeof death === 'number') setTimeout(kill, death).unref();
  for await (const line of child.iterable({ from: 'stdout' })) {
    const event = eventSchema.safeParse(JSON.parse(line)).data;
    if (event && event.name === death && event.state === 'running') setTimeout(kill, 150);
  }
  const { signal, exitCode, stdout, stderr } = await child;
  return { killed: signal === 'SIGKILL', exitCode, last: stdout.split('\n').at(-1) ?? '', stderr };
}

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), `${name}-`));
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
  await lab.destroy();
}, patience);
afterAll(async () => {
  await lab?.destroy();
  if (scratch !== undefined) await rm(scratch, { recursive: true, force: true });
}, patience);

it('a recovery that is killed again and again ends as the same appliance', { timeout: 3 * patience }, async () => {
  const died: (number | string)[] = [];
  for (const death of deaths) {
    const { killed, exitCode, last, stderr } = await recover(death);
    if (killed) died.push(death);
    else expect({ death, exitCode, last, stderr: stderr.slice(-500) }).toMatchObject({ exitCode: 0 });
    if (!killed) break;
  }
  const { exitCode, last, stderr } = await recover();
  expect({ died, exitCode, last, stderr: stderr.slice(-1_000) }).toMatchObject({ died: deaths, exitCode: 0 });
  expect(await sql('SELECT count(*) FROM kept')).toBe('5000');
  expect(await sql("SELECT string_agg(datname, ' ') FROM pg_database WHERE datname LIKE 'routing%'")).toBe(
    'routing_ml',
  );
  const answer = await fetch(`http://127.0.0.1:${port}/health`);
  expect([answer.status, answer.headers.get('x-appliance-release')]).toEqual([200, 'v1.0']);
  const left = await readdir(join(scratch, 'root/lib/backups'));
  expect(left.filter((entry) => /recover/.test(entry))).toEqual([]);
  expect(await readdir(join(scratch, 'root/lib/backups/restore')).catch(() => [])).toEqual([]);
});
