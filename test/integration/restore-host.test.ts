import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openState } from '../../src/agent/state.ts';
import { pathsFor } from '../../src/lib/paths.ts';
import { AuditLog } from '../../src/operations/audit.ts';
import { Lab } from '../support/appliance.ts';
import { removeTraces } from '../support/traces.ts';

// S4-38: install.sh, a repository and the recovery key make a bare host the appliance that it was, with its data. The old
// host is destroyed first; all that is left of it is a copy of the repository and the key.
const name = 'restorehost';
const port = 28_720;
const installer = join(import.meta.dirname, '../../install.sh');
const actor = { uid: 0, user: 'root', ssh: null };
let scratch: string;
let lab: Lab;
const repository = () => join(scratch, 'disk/repository');
/** Somebody whom the host need not know. */
const writer = 1234;
const key = () => join(scratch, 'recovery-key');
const root = () => join(scratch, 'root');

async function install(...words: readonly string[]) {
  const result = await execa(installer, ['--prefix', join(scratch, 'opt'), '--root', root(), ...words], {
    reject: false,
    stdin: 'ignore',
    timeout: 1_200_000,
    maxBuffer: 10_000_000,
  });
  return { exit: result.exitCode, said: `${result.stdout}\n${result.stderr}` };
}
const restore = (...more: readonly string[]) => install('--restore', repository(), '--key-file', key(), ...more);

async function sql(text: string): Promise<string> {
  const argv = ['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-U', 'routing', '-d', 'routing_ml', '-c', text];
  return (await execa('docker', ['exec', `${name}-core-postgres-1`, ...argv])).stdout.trim();
}

beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), `${name}-`));
  // A Node.js that the installer finds in place.
  const bin = join(scratch, 'opt/runtime/bin');
  await mkdir(bin, { recursive: true });
  await symlink(process.execPath, join(bin, 'node'));
  await symlink((await execa('sh', ['-c', 'command -v npm'])).stdout, join(bin, 'npm'));

  lab = await Lab.make({ name, port, pool: '10.204.0.0/16' });
  const environment = { APPLIANCE_ROOT: lab.root };
  const command = (...words: readonly string[]) =>
    execa(process.execPath, ['--no-warnings', lab.entry, ...words], {
      env: environment,
      stdin: 'ignore',
      timeout: 800_000,
    });
  await command('deploy', 'v1.0', '--yes');
  // An account that a fresh server does not have owns a part of the database.
  await sql(
    "CREATE ROLE reporting LOGIN PASSWORD 'not-a-secret'; CREATE TABLE kept (n int); ALTER TABLE kept OWNER TO reporting",
  );
  await sql('INSERT INTO kept SELECT generate_series(1, 5000)');
  // Old entries of the audit, in a file of their own.
  const paths = pathsFor(lab.root);
  const database = openState(paths);
  const audit = new AuditLog(database, {
    ...{
      head: join(paths.log, 'audit.head'),
      archive: join(paths.lib, 'audit'),
      actor,
      now: () => '2026-01-01T00:00:00Z',
    },
    ...{ onError: (error) => expect(error).toBeUndefined(), limits: { segment: 20, keep: 5, files: 100 } },
  });
  for (let entry = 0; entry < 40; entry += 1) audit.append('2026-01-01T00:00:00Z', actor, 'try', null, 'done');
  audit.settle();
  database.close();
  // Applications write as whoever they are.
  const uploads = join(paths.lib, 'persistent/uploads');
  await mkdir(uploads);
  await writeFile(join(uploads, 'letter'), 'kept');
  for (const path of [uploads, join(uploads, 'letter')]) await chown(path, writer, writer);
  await command('backup', 'now');
  await cp(join(lab.root, 'lib/backups/repository'), repository(), { recursive: true });
  await cp(join(lab.root, 'lib/backups/key'), key());
  await chmod(key(), 0o600);
  await lab.destroy();
}, 1_500_000);
afterAll(async () => {
  if (scratch === undefined) return;
  await install('--uninstall');
  await removeTraces(name);
  await lab?.destroy();
  await rm(scratch, { recursive: true, force: true });
}, 300_000);

describe('install.sh --restore', { timeout: 1_500_000 }, () => {
  it('refuses a repository that is not there, and changes nothing', async () => {
    const before = await readdir(join(scratch, 'opt'));
    const { exit, said } = await install('--restore', join(scratch, 'nowhere'), '--key-file', key());
    expect(said).toContain(`there is no backup repository at ${join(scratch, 'nowhere')}`);
    expect(exit).toBe(2);
    expect(await readdir(join(scratch, 'opt'))).toEqual(before);
    expect((await install('--restore', repository(), '--key-file', join(scratch, 'nokey'))).exit).toBe(2);
  });

  it('says with a wrong key that it does not open the repository, and leaves a bare host', async () => {
    const wrong = join(scratch, 'wrong-key');
    const right = await readFile(key(), 'utf8');
    await writeFile(
      wrong,
      right.replace(/[A-Za-z0-9]/, (first) => (first === 'A' ? 'B' : 'A')),
      { mode: 0o600 },
    );
    const { exit, said } = await install('--restore', repository(), '--key-file', wrong);
    expect(said).toMatch(/key/);
    expect(said).toContain('the host was not restored');
    expect(said).not.toContain(right.trim());
    expect(exit).toBe(1);
    expect((await readdir(join(root(), 'lib'))).includes('state.db')).toBe(false);
    expect(await readdir(join(root(), 'etc')).catch(() => [])).toEqual([]);
  });

  it('makes the host the same appliance, with its data, its accounts and an agent', async () => {
    const begun = performance.now();
    const { exit, said } = await restore();
    process.stderr.write(`install.sh --restore took ${((performance.now() - begun) / 1_000).toFixed(0)} s\n`);
    expect(said).toContain('done in');
    expect(exit).toBe(0);
    expect(await sql('SELECT count(*) FROM kept')).toBe('5000');
    const uploads = join(pathsFor(root()).lib, 'persistent/uploads');
    expect(await readFile(join(uploads, 'letter'), 'utf8')).toBe('kept');
    for (const path of [uploads, join(uploads, 'letter')]) expect((await stat(path)).uid).toBe(writer);
    expect(await sql("SELECT tableowner FROM pg_tables WHERE tablename = 'kept'")).toBe('reporting');
    const answer = await fetch(`http://127.0.0.1:${port}/health`);
    expect({ status: answer.status, release: answer.headers.get('x-appliance-release') }).toEqual({
      status: 200,
      release: 'v1.0',
    });
    const { stdout } = await execa(join(scratch, 'opt/bin/appliance'), ['--root', root(), 'status', '--json'], {
      reject: false,
    });
    expect(JSON.parse(stdout)).toMatchObject({ name, release: { tag: 'v1.0' }, agent: { running: true } });
  });

  it('brings the whole audit along, whose chain holds', async () => {
    expect((await readdir(join(root(), 'lib/audit'))).length).toBeGreaterThan(0);
    const verify = ['--root', root(), 'audit', 'verify', '--json'];
    const { stdout } = await execa(join(scratch, 'opt/bin/appliance'), verify, { reject: false });
    expect(JSON.parse(stdout)).toMatchObject({ verdict: 'pass', problem: null });
    expect(JSON.parse(stdout).archives).toBeGreaterThan(0);
  });

  it('refuses a host that has an appliance, and leaves that as it is', async () => {
    const { exit, said } = await restore();
    expect(said).toContain('this host has an appliance already');
    expect(said).toContain('Nothing was changed');
    expect(exit).toBe(2);
    expect(await sql('SELECT count(*) FROM kept')).toBe('5000');
  });
});
