import { statfs } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { systemCode } from '../lib/errors.ts';

/** Processors that this process may use. */
export const processors = (): number => availableParallelism();
/** Memory of the host in bytes, without what the firmware keeps for itself. */
export const totalMemory = (): number => totalmem();

export interface FileSystemUse {
  /** The directory that was looked at: the wanted one, or the nearest above it that can be seen. */
  readonly directory: string;
  /** Bytes. */
  readonly total: number;
  readonly free: number;
  /** 0 where the file system makes inodes as it needs them (btrfs). */
  readonly inodes: number;
  readonly freeInodes: number;
}

/** What is left on the file system that a directory lies on, or will lie on. */
export async function fileSystemUse(directory: string): Promise<FileSystemUse> {
  try {
    const { blocks, bavail, bsize, files, ffree } = await statfs(directory);
    return { directory, total: blocks * bsize, free: bavail * bsize, inodes: files, freeInodes: ffree };
  } catch (error) {
    const above = dirname(directory);
    if (!['ENOENT', 'EACCES'].includes(systemCode(error) ?? '') || above === directory) throw error;
    return fileSystemUse(above);
  }
}
