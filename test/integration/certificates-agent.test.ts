import { readdir, readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { selfSigned } from '../../src/capabilities/certificates/self-signed.ts';
import { certificateDirectory } from '../../src/lib/certificates.ts';
import { pathsFor } from '../../src/lib/paths.ts';
import { Lab } from '../support/appliance.ts';
import { Pebble } from '../support/pebble.ts';

const name = 'certsagent';
const port = 18_468;
let lab: Lab;
let pebble: Pebble;

beforeAll(async () => {
  lab = await Lab.make({ name, port, pool: '10.207.0.0/16' });
  const up = await lab.run(['up']);
  expect(up.exitCode, up.stderr).toBe(0);
  const { stdout } = await execa('docker', [
    ...['inspect', '--format', `{{(index .NetworkSettings.Networks "${name}-blue").IPAddress}}`, `${name}-core-edge-1`],
  ]);
  // It takes seconds to look, so that an agent can be killed in the middle.
  pebble = await Pebble.start({ address: stdout.trim(), port: 80, network: `${name}-blue`, sleep: 6 });
  const acme = `{ directory: "${pebble.directory}", root: "${pebble.root}", port: ${port}, certificatesPerWeek: 0 }`;
  await writeFile(lab.config, `${await readFile(lab.config, 'utf8')}\ncertificates: { acme: ${acme} }\n`);
}, 600_000);
afterAll(async () => {
  await pebble?.stop();
  await lab.destroy();
});

async function statusOf(): Promise<Record<string, unknown>> {
  const [all] = (await lab.json(['certs', 'status'])).documents;
  return { ...(Array.isArray(all) ? all[0] : {}) };
}

/** Until something holds; the agent looks every minute. */
async function until<T>(what: string, look: () => Promise<T | undefined>): Promise<T> {
  for (let tries = 0; tries < 600; tries += 1) {
    const found = await look();
    if (found !== undefined) return found;
    await delay(500);
  }
  throw new Error(`waited in vain for ${what}`);
}

const orders = () => join(pathsFor(lab.root).lib, 'certificates/orders');
const placed = async (): Promise<string | undefined> => {
  const text = await readFile(join(orders(), 'edge.json'), 'utf8').catch(() => '');
  return /"url":"([^"]+)"/.exec(text)?.[1];
};
const alerts = async () => JSON.stringify((await lab.json(['alerts', 'list'])).documents);

test('the agent gets the first one by itself; killed in the middle, the next goes on with the same order at once (S1-29)', async () => {
  await lab.startAgent();
  const order = await until('an order', placed);
  await lab.stopAgent('SIGKILL');
  expect(await placed()).toBe(order);
  const before = await lab.json(['certs', 'status']);
  expect(JSON.stringify(before.documents)).toContain('"nextAttempt":null');

  await lab.startAgent();
  await until('a certificate that is served', async () => {
    const { kind, serial, servedSerial } = await statusOf();
    return (kind === 'acme' && serial === servedSerial) || undefined;
  });
  // The order is forgotten once its certificate is recorded, which comes after the proof.
  await until('the end of the order', async () => (await readdir(orders())).length === 0 || undefined);
  const log = await pebble.log();
  expect(log.match(/Added order .* to the db/g)).toHaveLength(1);
}, 600_000);

test('the schedule has a job for it, which proves that what is in force is served, and tells where it is not (S1-49)', async () => {
  const { documents } = await lab.json(['schedule']);
  expect(documents.flat()).toContainEqual(expect.objectContaining({ name: 'certificates', state: 'idle' }));
  const directory = certificateDirectory(pathsFor(lab.root), 'edge');
  const link = join(directory, 'current');
  const good = await readlink(link);
  const other = (await readdir(directory)).find((one) => /^\d{8}T/.test(one) && one !== good) ?? '';
  const point = async (version: string) => {
    await rm(`${link}.new`, { force: true });
    await symlink(version, `${link}.new`);
    await rename(`${link}.new`, link);
  };
  // What nginx has loaded stays: what is on the disk is another one now, as after a restore by hand.
  const meta = join(directory, other, 'meta.json');
  const kept = await readFile(meta, 'utf8');
  await writeFile(meta, kept.replace('self-signed', 'imported'));
  await point(other);
  const run = await lab.json(['schedule', 'run', 'certificates', '--wait', '60s']);
  expect(JSON.stringify(run.documents)).toContain('is in force');
  expect(await alerts()).toContain('CertificateNotServed');
  await writeFile(meta, kept);
  await point(good);
  expect((await lab.json(['schedule', 'run', 'certificates', '--wait', '60s'])).exitCode).toBe(0);
  expect(await alerts()).not.toContain('CertificateNotServed');
}, 300_000);

test('files that were brought are watched: a newer pair is taken over, one that does not fit is told and tried once', async () => {
  const [chain, key] = [join(lab.root, 'chain.pem'), join(lab.root, 'key.pem')];
  const bring = async (names: readonly string[]): Promise<void> => {
    const pair = await selfSigned(names, Date.now());
    await writeFile(key, pair.key, { mode: 0o600 });
    await writeFile(chain, pair.chain);
  };
  const yaml = await readFile(lab.config, 'utf8');
  await writeFile(lab.config, yaml.replace('certificates: { acme:', 'certificates: { issuer: imported, acme:'));
  await bring(['localhost']);
  expect(await lab.json(['certs', 'import', chain, key, '--wait', '60s'])).toMatchObject({ exitCode: 0 });
  const first = await statusOf();
  expect(first).toMatchObject({ kind: 'imported', servedSerial: first.serial });
  await bring(['localhost']);
  const second = await until('the newer pair', async () => {
    const now = await statusOf();
    // It is in force a moment before nginx has loaded it.
    return now.serial === first.serial || now.servedSerial !== now.serial ? undefined : now;
  });
  expect(second.servedSerial).toBe(second.serial);
  await bring(['other.example']);
  await until('the refusal', async () => ((await statusOf()).lastError === null ? undefined : true));
  expect(await alerts()).toContain('CertificateRenewalFailed');
  // A handshake may time out on a busy machine; what is served must be the pair before.
  const kept = await until('a handshake', async () => {
    const now = await statusOf();
    return now.servedSerial === null ? undefined : now;
  });
  expect(kept).toMatchObject({ serial: second.serial, servedSerial: second.serial });
}, 900_000);
