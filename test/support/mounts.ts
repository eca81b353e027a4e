import { execaSync } from 'execa';

/**
 * Takes a mounted file system away at once; nothing happens when there is none. An ordinary umount fails while anybody
 * looks into it: "target is busy".
 *
 * @throws {Error} it cannot be taken away
 */
export function unmount(path: string): void {
  const { failed, stderr } = execaSync('umount', ['--lazy', path], { reject: false });
  if (failed && !/not mounted|no mount point/.test(stderr)) throw new Error(stderr);
}
