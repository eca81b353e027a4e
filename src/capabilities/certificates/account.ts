import { createHash } from 'node:crypto';
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ensureDirectory, readIfPresent, readJson, writeFileAtomic } from '../../host/files.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { newKey } from './self-signed.ts';

const accountSchema = z.object({ directory: z.string(), url: z.string() });

/** The account at one authority: its key (mode 0600) and, once registered, its address. */
export class Account {
  readonly #directory: string;
  readonly #authority: string;

  /**
   * @param root directory of all accounts
   * @param authority address of the ACME directory; each has an account of its own
   */
  constructor(root: string, authority: string) {
    this.#authority = authority;
    this.#directory = join(root, createHash('sha256').update(authority).digest('hex').slice(0, 16));
  }

  /** The key; made and on disk before anybody hears of it. */
  async key(): Promise<string> {
    const path = join(this.#directory, 'key.pem');
    const known = await readIfPresent(path);
    if (known !== undefined) return known;
    const key = await newKey('ec-p256');
    await ensureDirectory(this.#directory, 0o700);
    await writeFileAtomic(path, key, 0o600);
    return key;
  }

  /** Undefined before it is registered. */
  async url(): Promise<string | undefined> {
    return (await readJson(join(this.#directory, 'account.json'), accountSchema))?.url;
  }

  /** The key stays: registered again, it is the same account. */
  async forget(): Promise<void> {
    await rm(join(this.#directory, 'account.json'), { force: true });
  }

  async remember(url: string): Promise<void> {
    const text = `${JSON.stringify({ directory: this.#authority, url })}\n`;
    await writeFileAtomic(join(this.#directory, 'account.json'), text, 0o600);
  }
}

/**
 * The HMAC key of an External Account Binding (RFC 8555 §7.3.4).
 * @throws ApplianceError `config_missing`, `config_invalid` for a file that is absent, open to others or no base64url; what
 *   it holds is never shown
 */
export async function externalKey(file: string): Promise<string> {
  const refuse = (what: string, hint: string) =>
    new ApplianceError('config_invalid', what, { left: 'no attempt was spent', hint });
  const text = (await readIfPresent(file))?.trim();
  if (text === undefined)
    throw new ApplianceError('config_missing', `there is no ${file}`, {
      left: 'no attempt was spent',
      hint: 'certificates.acme.externalAccount.hmacFile in appliance.yaml names it',
    });
  if (((await stat(file)).mode & 0o077) !== 0)
    throw refuse(`others on this host may read ${file}`, `chmod 600 ${file}`);
  if (!/^[A-Za-z0-9_-]{16,}=*$/.test(text))
    throw refuse(`${file} holds no key in base64url`, 'write it as the authority gave it');
  return text;
}
