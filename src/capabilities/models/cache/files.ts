import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemCode } from '../../../lib/errors.ts';
import type { Manifest } from '../manifest.ts';

/** Milliseconds for which a further write may leave no trace in the times of a file. */
const youngest = 2_500;

/** Files whose hash was right, by what their metadata says: large artefacts are not read again for every manifest. */
export class CheckedFiles {
  readonly #known = new Map<string, string>();

  /**
   * Compares the files of a model with its manifest.
   * @param manifestPath where the manifest lies; its files lie beside it
   * @returns the first difference, or null
   */
  async difference(manifestPath: string, manifest: Manifest, signal: AbortSignal): Promise<string | null> {
    const directory = dirname(manifestPath);
    const seen = new Set<string>();
    for (const [name, { sha256, bytes }] of Object.entries(manifest.files)) {
      const path = join(directory, name);
      // Before the hash is made, which may take longer than a file is young.
      const looked = Date.now();
      let stat: Awaited<ReturnType<typeof lstatBig>>;
      try {
        stat = await lstatBig(path);
      } catch (error) {
        return `${name} ${systemCode(error) === 'ENOENT' ? 'is not there' : 'cannot be read'}`;
      }
      if (!stat.isFile()) return `${name} is no plain file`;
      if (bytes !== undefined && stat.size !== BigInt(bytes)) return `${name} has ${stat.size} bytes, not ${bytes}`;
      const meta = `${path} ${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`;
      seen.add(meta);
      const digest = this.#known.get(meta) ?? (await hashOf(path, signal));
      if (digest === undefined) return `${name} cannot be read`;
      if (digest !== sha256) return `${name} does not have the hash that the manifest names`;
      if (looked - Number(stat.ctimeMs) > youngest) this.#known.set(meta, digest);
    }
    for (const meta of this.#known.keys()) if (!seen.has(meta) && this.#known.size > 256) this.#known.delete(meta);
    return null;
  }
}

const lstatBig = (path: string) => lstat(path, { bigint: true });

async function hashOf(path: string, signal: AbortSignal): Promise<string | undefined> {
  const hash = createHash('sha256');
  try {
    for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, signal })) hash.update(chunk);
    return hash.digest('hex');
  } catch {
    signal.throwIfAborted();
    return undefined;
  }
}
