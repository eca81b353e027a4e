import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { BackupLab } from '../support/backup-lab.ts';

// S1-48: copies for real servers over the network of the host: SFTP by the client of OpenSSH with a key and known hosts,
// WebDAV by rclone, restic's own REST protocol with a name and password. Each has a result of its own.
const name = 'backupaway';
const signal = AbortSignal.timeout(1_500_000);
const ports = { sftp: 28_881, webdav: 28_882, rest: 28_883 } as const;
type Server = keyof typeof ports;
const servers: readonly Server[] = ['sftp', 'webdav', 'rest'];
const timeout = 600_000;
let lab: BackupLab;

const containerOf = (server: Server): string => `${name}-${server}`;
const data = (server: Server): string => join(lab.root, 'away', server);
const credentials = (server: Server): string => join(lab.root, 'etc', server);

async function start(server: Server): Promise<void> {
  const listen = ['--addr', `127.0.0.1:${ports[server]}`];
  const argv: Record<Server, string[]> = {
    sftp: [...['sftp', '/data', ...listen], ...['--key', '/keys/host', '--authorized-keys', '/keys/client.pub']],
    webdav: ['webdav', '/data', ...listen],
    rest: ['restic', '/data', ...listen, '--user', 'keeper', '--pass', 'planted-password'],
  };
  await execa('docker', ['rm', '--force', containerOf(server)], { reject: false });
  await execa('docker', [
    ...['run', '--detach', '--network', 'host', '--name', containerOf(server)],
    ...['-v', `${data(server)}:/data`, '-v', `${credentials(server)}:/keys:ro`, '--entrypoint', 'rclone'],
    ...['appliance/restic:1', 'serve', ...argv[server]],
  ]);
  await vi.waitFor(async () => expect(await accepts(ports[server])).toBe(true), { timeout: 30_000, interval: 100 });
}

const accepts = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });

async function keys(): Promise<void> {
  const at = credentials('sftp');
  for (const which of ['host', 'client'])
    await execa('docker', [
      ...['run', '--rm', '--network', 'none', '-v', `${at}:/keys`, '--entrypoint', 'ssh-keygen', 'appliance/restic:1'],
      ...['-q', '-t', 'ed25519', '-N', '', '-C', which, '-f', `/keys/${which}`],
    ]);
  const host = await readFile(join(at, 'host.pub'), 'utf8');
  await writeFile(join(at, 'known_hosts'), `[127.0.0.1]:${ports.sftp} ${host}`);
  await writeFile(
    join(at, 'ssh_config'),
    [
      'Host away',
      '  HostName 127.0.0.1',
      `  Port ${ports.sftp}`,
      '  User keeper',
      '  IdentityFile /credentials/client',
      '  UserKnownHostsFile /credentials/known_hosts',
      '  StrictHostKeyChecking yes',
      '',
    ].join('\n'),
  );
}

beforeAll(async () => {
  lab = await BackupLab.make({ name, postgres: false });
  for (const server of servers) {
    await mkdir(data(server), { recursive: true });
    await mkdir(credentials(server), { recursive: true, mode: 0o700 });
  }
  await keys();
  await writeFile(
    join(credentials('webdav'), 'rclone.conf'),
    `[dav]\ntype = webdav\nurl = http://127.0.0.1:${ports.webdav}\nvendor = other\n`,
    { mode: 0o600 },
  );
  const environmentFile = join(credentials('rest'), 'rest.env');
  await writeFile(environmentFile, 'RESTIC_REST_USERNAME=keeper\nRESTIC_REST_PASSWORD=planted-password\n', {
    mode: 0o600,
  });
  for (const server of servers) await start(server);
  await lab.configure({
    offsite: [
      { name: 'sftp', target: 'sftp:away:copies', credentials: credentials('sftp') },
      { name: 'webdav', target: 'rclone:dav:copies', credentials: credentials('webdav') },
      { name: 'rest', target: `rest:http://127.0.0.1:${ports.rest}/copies`, environmentFile },
    ],
  });
  await lab.addModel('1', randomBytes(3_000_000));
}, timeout);
afterAll(async () => {
  await lab?.destroy();
}, timeout);

const results = async () =>
  Object.fromEntries((await lab.appliance()).backups.targets().map(({ name: target, ...rest }) => [target, rest]));

describe('copies for servers of other kinds', { timeout }, () => {
  it('hold every snapshot; what is read back from each is what was stored', async () => {
    const { id, result } = await lab.backup('nightly', { offsite: true });
    expect(result.error ?? result.result).toBe('done');
    for (const server of servers)
      expect({ server, ...(await results())[server] }).toMatchObject({ server, failures: 0, error: null });
    const { backups } = await lab.appliance();
    const own = await backups.manifest(id, signal);
    for (const repository of backups.offsite) {
      const [snapshot, ...more] = await repository.list(signal);
      expect(more).toEqual([]);
      if (snapshot) expect(await repository.manifest(snapshot, signal)).toEqual(expect.objectContaining({ id }));
      expect(snapshot?.id).toBe(own.id);
      expect((await repository.check({ readData: 'all', signal })).whole).toBe(true);
    }
    for (const server of servers) expect(await readdir(join(data(server), 'copies'))).toContain('config');
  });

  it('go on where one server is down, which is told and gets what it has missed', async () => {
    await execa('docker', ['stop', '--time', '1', containerOf('sftp')]);
    const night = await lab.backup('nightly', { offsite: true });
    expect(night.result.result).toBe('done');
    expect((await results()).sftp).toMatchObject({
      failures: 1,
      error: expect.stringMatching(/^the target sftp does not answer: .*Connection refused/),
    });
    expect((await results()).webdav).toMatchObject({ failures: 0, error: null });
    await start('sftp');
    const next = await lab.backup('nightly', { offsite: true });
    expect(next.result.error ?? next.result.result).toBe('done');
    expect((await results()).sftp).toMatchObject({ failures: 0, error: null });
    const { backups } = await lab.appliance();
    for (const repository of backups.offsite)
      expect({ at: repository.target.name, snapshots: (await repository.list(signal)).length }).toEqual({
        at: repository.target.name,
        snapshots: 3,
      });
  });

  it('are refused by a host that is not the known one, and by a wrong password; no secret is told', async () => {
    const known = join(credentials('sftp'), 'known_hosts');
    const right = await readFile(known, 'utf8');
    await writeFile(
      known,
      right.replace(/AAAA\S+/, (await readFile(join(credentials('sftp'), 'client.pub'), 'utf8')).split(' ')[1] ?? ''),
    );
    await writeFile(
      join(credentials('rest'), 'rest.env'),
      'RESTIC_REST_USERNAME=keeper\nRESTIC_REST_PASSWORD=planted-wrong\n',
    );
    const { result } = await lab.backup('nightly', { offsite: true });
    expect(result.result).toBe('done');
    const { sftp, webdav, rest } = await results();
    expect(webdav).toMatchObject({ failures: 0, error: null });
    for (const refused of [sftp, rest])
      expect(refused).toMatchObject({ failures: 1, error: expect.stringMatching(/./) });
    expect(JSON.stringify([sftp, rest])).not.toMatch(/planted/);
    expect(JSON.stringify(sftp)).toMatch(/host key|known/i);
    expect(JSON.stringify(rest)).toMatch(/401|password|unauthori/i);
    // Every time, however fast restic ends behind its ssh.
    const { backups } = await lab.appliance();
    const away = backups.offsite.find(({ target }) => target.name === 'sftp');
    for (let times = 0; times < 8; times += 1)
      await expect(away?.exists(signal)).rejects.toThrow(/host key verification failed/i);
  });
});
