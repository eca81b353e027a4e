import { ApplianceError, systemCode } from '../../lib/errors.ts';

/** Why something cannot be put where it belongs, by what the kernel says. */
const reasons: Readonly<Record<string, string>> = {
  EISDIR: 'a directory is in its place',
  ENOTEMPTY: 'a directory is in its place',
  EEXIST: 'a file is where a directory must be',
  ENOTDIR: 'a file is where a directory must be',
  EROFS: 'it is on a file system that is mounted read-only',
  EPERM: 'it cannot be changed, or is no file',
  EACCES: 'it cannot be changed',
  EBUSY: 'something is mounted there',
  EXDEV: 'another file system is mounted there',
  ELOOP: 'links go round in a circle',
};

/**
 * Puts something in place, and says what is in the way when that is why it fails.
 * @param path what is to be there
 * @throws ApplianceError `restore_failed`; whatever else fails is thrown as it is
 */
export async function placing(path: string, work: () => Promise<void> | void): Promise<void> {
  try {
    await work();
  } catch (error) {
    const reason = reasons[systemCode(error) ?? ''];
    if (reason === undefined) throw error;
    throw new ApplianceError('restore_failed', `${path} cannot be put in place: ${reason}`, {
      left: 'what is in use stays as it was',
      hint: `look: ls -ld, lsattr -d and findmnt -T ${path}; clear the way, then run it again`,
      cause: error,
    });
  }
}
