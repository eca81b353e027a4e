import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BackupLab } from '../support/backup-lab.ts';
import { buildImage } from './test-image.ts';

// S1-48: a copy in an object store that speaks S3: the gateway of Ceph, with SQLite in the place of a cluster.
// That one answers requests for parts of a file with its beginning, so whole packs are read back here, and files from the others.
const name = 'backups3';
const port = 28_884;
const container = `${name}-gateway`;
const keys = { id: 'planted-id', secret: 'planted-secret' };
const timeout = 600_000;
let lab: BackupLab;
let environment: string;

const image = 'appliance-test/radosgw:1';
// radosgw-admin may wait for a thread of its own forever when all is done (one start in eight under load): who has told of the user
// whole is not waited for.
const gateway = `set -e
mkdir -p /etc/ceph /var/lib/ceph/radosgw/ceph-gateway
printf '%s\\n' '[client.gateway]' 'rgw_backend_store = dbstore' 'rgw_config_store = dbstore' \\
  'dbstore_config_uri = file:/var/lib/ceph/radosgw/config.db' \\
  'rgw_frontends = beast endpoint=127.0.0.1:${port}' >/etc/ceph/ceph.conf
grep -q '^}' < <(radosgw-admin -n client.gateway --no-mon-config user create --uid=keeper --display-name=keeper \\
  --access-key=${keys.id} --secret-key=${keys.secret})
exec radosgw -n client.gateway --no-mon-config -f`;

const credentials = (secret: string) =>
  writeFile(environment, `AWS_ACCESS_KEY_ID=${keys.id}\nAWS_SECRET_ACCESS_KEY=${secret}\n`, { mode: 0o600 });
const answers = () =>
  fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(2_000) }).then(
    ({ ok }) => ok,
    () => false,
  );

beforeAll(async () => {
  await buildImage(image, join(import.meta.dirname, 'radosgw'));
  lab = await BackupLab.make({ name, postgres: false });
  environment = join(lab.root, 'etc/s3.env');
  await credentials(keys.secret);
  await lab.configure({
    offsite: [{ name: 's3', target: `s3:http://127.0.0.1:${port}/copies/routing`, environmentFile: environment }],
  });
  await lab.addModel('1', randomBytes(20_000_000));
  await execa('docker', [
    ...['run', '--detach', '--network', 'host', '--name', container, image, 'bash', '-c', gateway],
  ]);
  for (const until = Date.now() + 120_000; !(await answers()); await delay(1_000)) {
    const { stdout } = await execa('docker', ['inspect', '--format', '{{.State.Running}}', container]);
    if (stdout === 'true' && Date.now() < until) continue;
    const { all } = await execa('docker', ['logs', '--tail', '20', container], { all: true });
    throw new Error(`no gateway, the container ${stdout === 'true' ? 'runs' : 'has ended'}: ${all}`);
  }
}, timeout);
afterAll(async () => {
  await lab?.destroy();
}, timeout);

async function night() {
  const { id, result } = await lab.backup('nightly', { offsite: true });
  expect(result.error ?? result.result).toBe('done');
  const { backups } = await lab.appliance();
  const [repository = expect.fail('no repository')] = backups.offsite;
  return { id, repository, target: backups.targets()[0], signal: AbortSignal.timeout(timeout) };
}

describe('a copy in an object store', { timeout }, () => {
  it('is not made where the bucket is not there, and that is told', async () => {
    const { target } = await night();
    expect(target).toMatchObject({ failures: 1, error: expect.stringContaining('bucket does not exist') });
  });

  it('holds every snapshot, and all of it can be read back', async () => {
    const store = `:s3,provider=Ceph,endpoint="http://127.0.0.1:${port}",access_key_id=${keys.id},secret_access_key=${keys.secret}`;
    await execa('docker', [
      ...['run', '--rm', '--network', 'host', '--entrypoint', 'rclone', 'appliance/restic:1', 'mkdir'],
      `${store}:copies`,
    ]);
    for (const snapshots of [2, 3]) {
      const { id, repository, target, signal } = await night();
      expect(target).toMatchObject({ failures: 0, error: null });
      const there = await repository.list(signal);
      expect([there.length, there[0]?.id]).toEqual([snapshots, id]);
      expect((await repository.check({ readData: 'all', signal })).whole).toBe(true);
    }
  });

  it('is refused with a wrong secret, which is told without it, and goes on with the right one', async () => {
    await credentials('planted-mistake');
    const { target } = await night();
    expect(target).toMatchObject({ failures: 1, error: expect.stringMatching(/denied|signature/i) });
    expect(target?.error).not.toMatch(/planted/);
    await credentials(keys.secret);
    expect((await night()).target).toMatchObject({ failures: 0, error: null });
  });
});
