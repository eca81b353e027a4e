import { ApplianceError, asApplianceError, messageOf, systemCode } from '../lib/errors.ts';

// A verb that saves nothing loads nothing for it.
const { randomBytes } = process.getBuiltinModule('node:crypto');
const { open, rename, rm } = process.getBuiltinModule('node:fs/promises');

/** Adds to a file that is being saved. */
export type Append = (piece: Uint8Array | string) => Promise<void>;

/**
 * Writes a file that is there as a whole or not at all; what was there before stays until then.
 * @param mode of the file
 * @returns what `write` returns
 * @throws ApplianceError `disk_full`, `not_permitted`, `usage` where it cannot be; and what `write` throws
 */
export async function save<T>(path: string, mode: number, write: (append: Append) => Promise<T>): Promise<T> {
  const partial = `${path}.${randomBytes(4).toString('hex')}.partial`;
  const file = await writing(path, () => open(partial, 'wx', mode));
  try {
    // `appendFile` writes everything of it, or fails: `write` may write less on a disk that fills up.
    const result = await write((piece) => writing(path, () => file.appendFile(piece)));
    await writing(path, async () => {
      await file.sync();
      await file.close();
      await rename(partial, path);
    });
    return result;
  } catch (error) {
    await file.close().catch(() => undefined);
    await rm(partial, { force: true });
    throw error;
  }
}

/** What goes wrong with the file, in words that say what to do. */
async function writing<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    const told = {
      left: 'nothing was written; what was there before stays',
      hint: 'write it elsewhere: --output FILE',
      cause,
    };
    switch (systemCode(cause)) {
      case 'ENOSPC':
      case 'EDQUOT':
        throw new ApplianceError('disk_full', `there is no room for ${path}`, told);
      case 'EACCES':
      case 'EPERM':
      case 'EROFS':
        throw new ApplianceError('not_permitted', `${path} may not be written`, told);
      case 'EISDIR':
      case 'ENOENT':
      case 'ENOTDIR':
        throw new ApplianceError('usage', `${path} cannot be written: ${messageOf(cause)}`, told);
      default:
        throw asApplianceError(cause);
    }
  }
}
