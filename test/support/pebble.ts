import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { selfSigned } from '../../src/capabilities/certificates/self-signed.ts';

const builder = join(import.meta.dirname, '../../compose/images/build.sh');

export interface PebbleOptions {
  /** Network that it joins; the engine's default one otherwise. */
  readonly network?: string;
  /** Address that every name leads to, and the port where challenges are looked for. */
  readonly address: string;
  readonly port: number;
  /** Shares from 0 to 100. */
  readonly nonceReject?: number;
  readonly authzReuse?: number;
  /** Most seconds that it takes for a validation. */
  readonly sleep?: number;
  /** Of its certificates, in seconds. */
  readonly lifetime?: number;
  readonly externalAccount?: { readonly keyId: string; readonly hmacKey: string };
}

/** A real ACME authority (Pebble of Debian 13) in a container. */
export class Pebble {
  readonly directory: string;
  /** File with the root that its own HTTPS is checked against. */
  readonly root: string;
  /** Of its container. */
  readonly id: string;
  readonly #files: string;

  private constructor(id: string, files: string, port: number) {
    this.id = id;
    this.#files = files;
    this.root = join(files, 'cert.pem');
    this.directory = `https://127.0.0.1:${port}/dir`;
  }

  static async start(options: PebbleOptions): Promise<Pebble> {
    await execa(builder, ['pebble']);
    const files = await mkdtemp(join(tmpdir(), 'pebble-'));
    const { key, chain } = await selfSigned(['localhost', '127.0.0.1'], Date.now());
    await writeFile(join(files, 'key.pem'), key);
    await writeFile(join(files, 'cert.pem'), chain);
    const { externalAccount, lifetime = 90 * 86_400 } = options;
    const config = {
      listenAddress: '0.0.0.0:14000',
      managementListenAddress: '0.0.0.0:15000',
      certificate: '/pebble/cert.pem',
      privateKey: '/pebble/key.pem',
      httpPort: options.port,
      tlsPort: 443,
      ocspResponderURL: '',
      externalAccountBindingRequired: externalAccount !== undefined,
      ...(externalAccount ? { externalAccountMACKeys: { [externalAccount.keyId]: externalAccount.hmacKey } } : {}),
      domainBlocklist: ['blocked.example'],
      retryAfter: { authz: 1, order: 1 },
      keyAlgorithm: 'ecdsa',
      certificateValidityPeriod: lifetime,
    };
    await writeFile(join(files, 'config.json'), JSON.stringify({ pebble: config }));
    const environment = {
      ADDRESS: options.address,
      PEBBLE_WFE_NONCEREJECT: String(options.nonceReject ?? 20),
      PEBBLE_AUTHZREUSE: String(options.authzReuse ?? 0),
      ...(options.sleep === undefined ? { PEBBLE_VA_NOSLEEP: '1' } : { PEBBLE_VA_SLEEPTIME: String(options.sleep) }),
    };
    const { stdout: id } = await execa('docker', [
      ...['run', '--detach', '--rm', '--label', 'appliance.test=pebble'],
      ...(options.network === undefined ? [] : ['--network', options.network]),
      ...['--publish', '127.0.0.1::14000', '--volume', `${files}:/pebble:ro`],
      ...Object.entries(environment).flatMap(([name, value]) => ['--env', `${name}=${value}`]),
      'appliance/pebble:2.6',
    ]);
    const { stdout } = await execa('docker', ['port', id, '14000']);
    const pebble = new Pebble(id, files, Number(/:(\d+)$/m.exec(stdout)?.[1]));
    await pebble.#answers(chain);
    return pebble;
  }

  /** Everything that it has said so far. */
  async log(): Promise<string> {
    const { all } = await execa('docker', ['logs', this.id], { all: true });
    return all;
  }

  async stop(): Promise<void> {
    await execa('docker', ['rm', '--force', this.id]);
    await rm(this.#files, { recursive: true, force: true });
  }

  async #answers(ca: string): Promise<void> {
    for (let tries = 0; tries < 300; tries += 1) {
      const status = await new Promise<number | undefined>((resolve) => {
        const asked = request(this.directory, { ca, timeout: 2_000 }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        });
        asked.on('timeout', () => asked.destroy());
        asked.on('error', () => resolve(undefined));
        asked.end();
      });
      if (status === 200) return;
      await delay(100);
    }
    throw new Error(`Pebble did not start: ${await this.log()}`);
  }
}

/** Address at which containers of the engine's default network reach this host. */
export async function hostAddress(): Promise<string> {
  const { stdout } = await execa('docker', [
    'network',
    'inspect',
    'bridge',
    '--format',
    '{{(index .IPAM.Config 0).Gateway}}',
  ]);
  return stdout.trim();
}
