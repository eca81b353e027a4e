import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readJson, writeFileAtomic } from '../../host/files.ts';
import type { Dumped } from './postgres.ts';

/** Beside the dumps of a service: what each was made of. It is in no snapshot. */
export const keptFile = '.kept.json';

const keptSchema = z.record(
  z.string(),
  z.object({
    /** Where the server stood; see `positionOf`. */
    position: z.string(),
    /** The file as it was written: nobody else's will do. */
    file: z.object({ inode: z.string(), modified: z.string() }),
    dumped: z.object({
      bytes: z.number(),
      sha256: z.string(),
      rows: z.record(z.string(), z.number()),
      serverVersion: z.string(),
    }),
  }),
);
type Kept = z.output<typeof keptSchema>;

/**
 * The last dumps of one service, which stay where they are until their databases have changed: the next snapshot then
 * holds the very same files, and neither the server nor restic reads anything again.
 */
export class KeptDumps {
  readonly directory: string;

  /** @param directory of the dumps of one service */
  constructor(directory: string) {
    this.directory = directory;
  }

  /** Makes the directory, and removes whatever is not one of these files. */
  async prepare(files: readonly string[]): Promise<void> {
    await mkdir(this.directory, { recursive: true, mode: 0o700 });
    for (const name of await readdir(this.directory))
      if (name !== keptFile && !files.includes(name))
        await rm(join(this.directory, name), { recursive: true, force: true });
  }

  /** What is known of a dump, where it is whole and the server has written nothing since. */
  async find(file: string, position: string): Promise<Dumped | undefined> {
    const kept = (await this.#read())[file];
    if (kept === undefined || kept.position !== position) return undefined;
    const there = await identity(join(this.directory, file));
    const same = there?.inode === kept.file.inode && there.modified === kept.file.modified;
    return same && there.bytes === kept.dumped.bytes ? kept.dumped : undefined;
  }

  /** A dump is about to be made anew: its place is free, and nothing is known of it. */
  async forget(file: string): Promise<void> {
    const { [file]: gone, ...others } = await this.#read();
    if (gone !== undefined) await this.#write(others);
    await rm(join(this.directory, file), { force: true });
  }

  /** @param position of the server from before the dump was begun */
  async keep(file: string, position: string, dumped: Dumped): Promise<void> {
    const there = await identity(join(this.directory, file));
    if (!there) return;
    const { inode, modified } = there;
    await this.#write({ ...(await this.#read()), [file]: { position, file: { inode, modified }, dumped } });
  }

  /** What cannot be read is not known: everything is dumped anew then. */
  async #read(): Promise<Kept> {
    return (await readJson(join(this.directory, keptFile), keptSchema).catch(() => undefined)) ?? {};
  }

  #write(kept: Kept): Promise<void> {
    return writeFileAtomic(join(this.directory, keptFile), `${JSON.stringify(kept, null, 2)}\n`, 0o600);
  }
}

async function identity(path: string): Promise<{ bytes: number; inode: string; modified: string } | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found && { bytes: Number(found.size), inode: String(found.ino), modified: String(found.mtimeNs) };
}
