import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, readlink, rename, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ensureDirectory, exists, readJson, syncDirectory, writeFileAtomic } from '../../host/files.ts';
import { type CertificatePair, certificateDirectory, certificateKinds, currentLink } from '../../lib/certificates.ts';
import { ApplianceError, systemCode } from '../../lib/errors.ts';
import type { Paths } from '../../lib/paths.ts';
import { checkPair, readChain } from './chain.ts';

/** Files that a version was brought by, to notice when somebody brings newer ones. */
const sourceSchema = z.object({ key: z.string(), chain: z.string(), digest: z.string() });

const metaSchema = z.object({
  kind: z.enum(certificateKinds),
  source: sourceSchema.nullable(),
  /** Directory of the authority; null where none was asked. */
  directory: z.string().nullable(),
});
type Meta = z.output<typeof metaSchema>;

interface CertificateContent {
  /** PEM. */
  readonly key: string;
  /** PEM, the server's own first. */
  readonly chain: string;
  readonly meta: Meta;
}

export type Stored = CertificatePair & Meta;

const versionPattern = /^\d{8}T\d{6}Z-[0-9a-f]{8}$/;
/** Versions that are kept beside the one in force, for the way back. */
const kept = 3;

/**
 * Versions of certificates on disk: each is one immutable directory with key, chain and where they came from, written
 * whole or not at all. Which one is in force says a link that `install-certificate` switches.
 */
export class CertificateStore {
  readonly #paths: Pick<Paths, 'edge'>;

  constructor(paths: Pick<Paths, 'edge'>) {
    this.#paths = paths;
  }

  /**
   * Writes a version. The same certificate again gives the version that is there.
   * @param names that it must cover
   * @param now milliseconds since 1970
   * @throws ApplianceError `certificate_invalid`, `disk_full`
   */
  async add(set: string, content: CertificateContent, names: readonly string[], now: number): Promise<Stored> {
    const facts = readChain(content.chain, 'the chain');
    checkPair(content.key, facts, names, now);
    const directory = certificateDirectory(this.#paths, set);
    await ensureDirectory(join(directory, '..'), 0o700);
    await ensureDirectory(directory);
    const known = (await this.list(set)).find(
      ({ serial, notBefore }) => serial === facts.serial && notBefore === facts.notBefore,
    );
    // An imported pair may be the same certificate under another path: what is watched is the newest.
    if (known) {
      await writeFileAtomic(join(directory, known.version, 'meta.json'), `${JSON.stringify(content.meta)}\n`);
      return this.read(set, known.version);
    }
    const version = `${new Date(now).toISOString().replace(/[-:]|\.\d+/g, '')}-${facts.serial.toLowerCase().padStart(8, '0').slice(-8)}`;
    const temporary = join(directory, `.${randomBytes(6).toString('hex')}.new`);
    try {
      await mkdir(temporary, { mode: 0o755 });
      await writeFileAtomic(join(temporary, 'key.pem'), content.key, 0o600);
      await writeFileAtomic(join(temporary, 'chain.pem'), content.chain);
      await writeFileAtomic(join(temporary, 'meta.json'), `${JSON.stringify(content.meta)}\n`);
      await rename(temporary, join(directory, version));
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      throw error;
    }
    await syncDirectory(directory);
    return this.read(set, version);
  }

  /** @throws ApplianceError `state_corrupt` for a version that is not whole */
  async read(set: string, version: string): Promise<Stored> {
    const directory = join(certificateDirectory(this.#paths, set), version);
    const [keyPath, chainPath] = [join(directory, 'key.pem'), join(directory, 'chain.pem')];
    try {
      const facts = readChain(await readFile(chainPath, 'utf8'), chainPath);
      const { domains, serial, notBefore, notAfter, issuer } = facts;
      const meta = await readJson(join(directory, 'meta.json'), metaSchema);
      if (!meta || !(await exists(keyPath))) throw new Error('a file of it is missing');
      return {
        id: `${set}/${version}`,
        set,
        version,
        domains,
        keyPath,
        chainPath,
        serial,
        notBefore,
        notAfter,
        issuer,
        ...meta,
      };
    } catch (cause) {
      throw new ApplianceError('state_corrupt', `the certificate ${set}/${version} is damaged`, {
        left: 'the edge goes on with what it has loaded',
        hint: `get a new one: appliance certs issue ${set}`,
        cause,
      });
    }
  }

  /** What is in force; undefined before the first one. */
  async current(set: string): Promise<Stored | undefined> {
    const version = await this.currentVersion(set);
    return version === undefined ? undefined : this.read(set, version);
  }

  /** Undefined also where the edge has put its own stand-in in place of a version that was missing or damaged. */
  async currentVersion(set: string): Promise<string | undefined> {
    try {
      const version = await readlink(join(certificateDirectory(this.#paths, set), currentLink));
      return versionPattern.test(version) ? version : undefined;
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** Whole versions, the newest first. */
  async list(set: string): Promise<Stored[]> {
    const names = await this.#versions(set);
    const all = await Promise.all(names.map((version) => this.read(set, version).catch(() => undefined)));
    return all.filter((one) => one !== undefined);
  }

  /** Points at a version where none is in force yet, so that nginx finds one when it starts. */
  async adoptFirst({ set, version }: Pick<Stored, 'set' | 'version'>): Promise<void> {
    if ((await this.currentVersion(set)) !== undefined) return;
    const directory = certificateDirectory(this.#paths, set);
    const temporary = join(directory, `.${randomBytes(6).toString('hex')}.new`);
    await symlink(version, temporary);
    await rename(temporary, join(directory, currentLink));
    await syncDirectory(directory);
  }

  /** The private key of a version, to be used again where clients pin it. */
  async key({ keyPath }: Pick<Stored, 'keyPath'>): Promise<string> {
    return readFile(keyPath, 'utf8');
  }

  /** Removes old versions, never the one in force. */
  async prune(set: string): Promise<void> {
    const directory = certificateDirectory(this.#paths, set);
    const current = await this.currentVersion(set);
    const old = (await this.#versions(set)).filter((version) => version !== current).slice(kept);
    for (const version of old) await rm(join(directory, version), { recursive: true, force: true });
  }

  /** Removes what a killed process has left half written. Only the one writer may call it. */
  async sweep(set: string): Promise<void> {
    const directory = certificateDirectory(this.#paths, set);
    for (const name of await entries(directory))
      if (/^\.[0-9a-f]{12}\.new$/.test(name)) await rm(join(directory, name), { recursive: true, force: true });
  }

  async #versions(set: string): Promise<string[]> {
    const names = await entries(certificateDirectory(this.#paths, set));
    return names
      .filter((name) => versionPattern.test(name))
      .sort()
      .reverse();
  }
}

async function entries(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}
