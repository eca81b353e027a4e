import { systemCode } from '../lib/errors.ts';

const { randomBytes } = process.getBuiltinModule('node:crypto');
const { open, rm } = process.getBuiltinModule('node:fs/promises');

/** What the name of a nonce file looks like; anything else in the header is refused, so that it cannot leave the folder. */
export const noncePattern = /^[0-9a-f]{32}$/;

/**
 * Creates the file by which the kernel proves who calls: its owner is the caller, and nobody else can make one in that
 * name (DESIGN §8).
 * @param directory the nonce folder of the agent
 * @returns the name of the file; undefined when the caller may not write there, and so has only what viewers may do
 */
export async function createNonce(directory: string): Promise<string | undefined> {
  const name = randomBytes(16).toString('hex');
  try {
    const file = await open(`${directory}/${name}`, 'wx', 0o600);
    await file.close();
    return name;
  } catch (error) {
    if (['EACCES', 'EPERM', 'ENOENT', 'EROFS'].includes(systemCode(error) ?? '')) return undefined;
    throw error;
  }
}

/** Removes a nonce file that the agent has not taken away already. */
export async function removeNonce(directory: string, name: string): Promise<void> {
  await rm(`${directory}/${name}`, { force: true });
}
