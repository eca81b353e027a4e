import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { join } from 'node:path';
import { ensureDirectory, readIfPresent, writeFileAtomic } from '../../host/files.ts';
import { ApplianceError, messageOf } from '../../lib/errors.ts';
import { broken } from './archive-format.ts';

/** The keys of an appliance for archives of models: its own, and those of others that somebody has trusted. */
export class ArchiveKeys {
  readonly #directory: string;

  /** @param directory in the state directory of the appliance; made with the first key, mode 0700 */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Signs with the key of this appliance, which is made the first time. */
  async signer(): Promise<{ readonly publicKey: string; sign(data: Buffer): string }> {
    const key = await this.#own();
    return { publicKey: spki(createPublicKey(key)), sign: (data) => sign(null, data, key).toString('base64') };
  }

  /**
   * @param trust fingerprint of a key that the caller has compared, and that is trusted from now on
   * @returns the fingerprint of the key that has signed
   * @throws ApplianceError `model_invalid` for a signature that is not of these bytes; `model_untrusted`
   */
  async prove(data: Buffer, signature: string, publicKey: string, trust: string | undefined): Promise<string> {
    const key = readKey(publicKey);
    if (!verify(null, data, key, Buffer.from(signature, 'base64'))) throw broken('its signature is not right');
    const fingerprint = fingerprintOf(publicKey);
    if (trust !== undefined && trust !== fingerprint) throw untrusted(fingerprint, `, and not by ${trust}`);
    if (await this.#trusts(publicKey, fingerprint)) return fingerprint;
    if (trust === undefined) throw untrusted(fingerprint, ', which nobody has trusted here');
    await ensureDirectory(this.#directory, 0o700);
    await writeFileAtomic(this.#trusted(fingerprint), key.export({ type: 'spki', format: 'pem' }), 0o600);
    return fingerprint;
  }

  async #trusts(publicKey: string, fingerprint: string): Promise<boolean> {
    const own = await readIfPresent(this.#signing);
    if (own !== undefined && spki(createPublicKey(createPrivateKey(own))) === publicKey) return true;
    const known = await readIfPresent(this.#trusted(fingerprint));
    return known !== undefined && spki(createPublicKey(known)) === publicKey;
  }

  async #own(): Promise<KeyObject> {
    const known = await readIfPresent(this.#signing);
    if (known === undefined) {
      const { privateKey } = generateKeyPairSync('ed25519');
      await ensureDirectory(this.#directory, 0o700);
      await writeFileAtomic(this.#signing, privateKey.export({ type: 'pkcs8', format: 'pem' }), 0o600);
      return privateKey;
    }
    try {
      return createPrivateKey(known);
    } catch (error) {
      throw new ApplianceError('state_corrupt', `the key ${this.#signing} cannot be used: ${messageOf(error)}`, {
        left: 'it was left as it is; nothing was exported',
        hint: 'restore it from a backup, or move it away: others must then trust the new one',
        cause: error,
      });
    }
  }

  get #signing(): string {
    return join(this.#directory, 'signing.pem');
  }

  #trusted(fingerprint: string): string {
    return join(this.#directory, `trusted-${fingerprint.slice('SHA256:'.length).replace(/[^A-Za-z0-9]/g, '_')}.pem`);
  }
}

/** As ssh-keygen writes them. @param publicKey SPKI in DER, base64 */
export function fingerprintOf(publicKey: string): string {
  return `SHA256:${createHash('sha256').update(Buffer.from(publicKey, 'base64')).digest('base64').replace(/=+$/, '')}`;
}

function readKey(publicKey: string): KeyObject {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' });
    if (key.asymmetricKeyType === 'ed25519') return key;
  } catch {
    // Told below.
  }
  throw broken('it names no Ed25519 key');
}

function spki(key: KeyObject): string {
  return key.export({ type: 'spki', format: 'der' }).toString('base64');
}

function untrusted(fingerprint: string, why: string): ApplianceError {
  return new ApplianceError('model_untrusted', `the archive is signed by ${fingerprint}${why}`, {
    left: 'nothing was unpacked or registered',
    hint: `compare it with what the export said there, then: appliance models import FILE --trust ${fingerprint}`,
  });
}
