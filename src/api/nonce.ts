import { systemCode } from '../lib/errors.ts';

const { randomBytes } = process.getBuiltinModule('node:crypto');
const { open, rm } = process.getBuiltinModule('node:fs/promises');

/** What the name of a nonce file looks like; anything else in the header is refused, so that it cannot leave the folder. */
export const noncePattern = /^[0-9a-f]{32}$/;

/** A nonce file that the caller holds open, by which the agent also knows the process: nobody else has it open. */
export interface Nonce {
  readonly name: string;
  /** Closes the file, and removes it where the agent has not taken it away already. */
  remove(): Promise<void>;
}

/**
 * Creates the file by which the kernel proves who calls: its owner is the caller, and nobody else can make one in that
 * name (DESIGN §8).
 * @param directory the nonce folder of the agent
 * @returns undefined when the caller may not write there, and so has only what viewers may do
 */
export async function createNonce(directory: string): Promise<Nonce | undefined> {
  const name = randomBytes(16).toString('hex');
  try {
    const file = await open(`${directory}/${name}`, 'wx', 0o600);
    const remove = async (): Promise<void> => {
      await file.close();
      await rm(`${directory}/${name}`, { force: true });
    };
    return { name, remove };
  } catch (error) {
    if (['EACCES', 'EPERM', 'ENOENT', 'EROFS'].includes(systemCode(error) ?? '')) return undefined;
    throw error;
  }
}
