import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { selfSigned } from '../../src/capabilities/certificates/self-signed.ts';
import { serialText } from '../../src/lib/certificates.ts';
import { Lab } from '../support/appliance.ts';
import { Pebble } from '../support/pebble.ts';

const name = 'certstest';
const port = 18_460;
let lab: Lab;
let pebble: Pebble;

/** What a client sees. */
function servedSerial(): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(
      { host: '127.0.0.1', port: port + 1, servername: 'localhost', rejectUnauthorized: false },
      () => {
        resolve(serialText(socket.getPeerX509Certificate()?.serialNumber ?? ''));
        socket.end();
      },
    );
    socket.on('error', reject);
  });
}

async function statusOf(): Promise<Record<string, unknown>> {
  const { documents } = await lab.json(['certs', 'status']);
  const [all] = documents;
  const [only] = Array.isArray(all) ? all : [];
  return { ...only };
}

beforeAll(async () => {
  lab = await Lab.make({ name, port, pool: '10.247.0.0/16' });
  const up = await lab.run(['up']);
  expect(up.exitCode, up.stderr).toBe(0);
  const { stdout } = await execa('docker', [
    ...['inspect', '--format', `{{(index .NetworkSettings.Networks "${name}-blue").IPAddress}}`, `${name}-core-edge-1`],
  ]);
  pebble = await Pebble.start({ address: stdout.trim(), port: 80, network: `${name}-blue`, lifetime: 6 * 86_400 });
  await writeFile(
    lab.config,
    `${await readFile(lab.config, 'utf8')}
certificates:
  acme: { directory: "${pebble.directory}", root: "${pebble.root}", port: ${port}, certificatesPerWeek: 0 }
`,
  );
});
afterAll(async () => {
  await pebble?.stop();
  await lab.destroy();
});

describe('certificates of an appliance (S1-29, S1-49)', () => {
  test('one that signs itself at first, then one by an authority, served and proven', async () => {
    const before = await statusOf();
    expect(before).toMatchObject({ kind: 'self-signed', due: 'there is none by an authority yet' });
    // Before the first release the edge serves a maintenance page, with its own stand-in.
    const standIn = await servedSerial();
    expect(before.servedSerial).toBe(standIn);

    const dry = await lab.json(['certs', 'dry-run']);
    expect(dry.document).toMatchObject({ kind: 'certs-dry-run', result: 'done' });
    expect(await servedSerial()).toBe(standIn);

    const issued = await lab.json(['certs', 'issue']);
    expect(issued.document, JSON.stringify(issued.documents)).toMatchObject({ kind: 'certs-issue', result: 'done' });
    const after = await statusOf();
    expect(after).toMatchObject({ kind: 'acme', due: null, lastError: null, domains: ['localhost'] });
    expect(after.serial).not.toBe(before.serial);
    expect(after.servedSerial).toBe(after.serial);
    expect(await servedSerial()).toBe(after.serial);

    const { document: status } = await lab.json(['status']);
    expect(status.certificates).toEqual([
      { domains: ['localhost'], notAfter: after.notAfter, issuer: after.issuer, daysLeft: 5 },
    ]);
  });

  test('is renewed when it is due or forced, and not otherwise', async () => {
    const before = await statusOf();
    expect((await lab.json(['certs', 'renew'])).document).toEqual({ renewed: [] });
    const forced = await lab.json(['certs', 'renew', '--force']);
    expect(forced.exitCode, JSON.stringify(forced.documents)).toBe(0);
    const after = await statusOf();
    expect(after.serial).not.toBe(before.serial);
    expect(await servedSerial()).toBe(after.serial);
  });

  test('is brought as files, refused where they do not fit, and taken over anew when they change', async () => {
    const files = await mkdtemp(join(tmpdir(), `${name}-`));
    try {
      const [chain, key] = [join(files, 'chain.pem'), join(files, 'key.pem')];
      const bring = async (names: readonly string[], own = true): Promise<void> => {
        const pair = await selfSigned(names, Date.now());
        await writeFile(chain, pair.chain);
        await writeFile(key, own ? pair.key : (await selfSigned(names, Date.now())).key, { mode: 0o600 });
      };
      const before = await servedSerial();
      await bring(['other.example']);
      expect(await lab.json(['certs', 'import', chain, key])).toMatchObject({
        exitCode: 2,
        document: { result: 'failed', error: { message: expect.stringContaining('does not cover localhost') } },
      });
      await bring(['localhost'], false);
      const mixed = await lab.json(['certs', 'import', chain, key]);
      expect(mixed.document).toMatchObject({ error: { message: expect.stringContaining('the key does not belong') } });
      expect(JSON.stringify(mixed.documents)).not.toContain('PRIVATE');
      expect(await servedSerial()).toBe(before);

      await bring(['localhost']);
      expect(await lab.json(['certs', 'import', chain, key])).toMatchObject({ exitCode: 0 });
      const brought = await statusOf();
      expect(brought).toMatchObject({ kind: 'imported', servedSerial: brought.serial });
      expect(await servedSerial()).not.toBe(before);
    } finally {
      await rm(files, { recursive: true, force: true });
    }
  });
});
