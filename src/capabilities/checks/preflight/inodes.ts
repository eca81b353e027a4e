import type { FileSystemUse } from '../../../host/machine.ts';
import { type Check, fail, pass } from '../check.ts';

/** Share of inodes that must be free. Without one no file can be made, however many bytes are left. */
const leastShare = 0.1;

/** Inodes of the file system with the state (S0-4, S1-59). */
export function inodesCheck(use: () => Promise<FileSystemUse>): Check {
  return {
    id: 'preflight.inodes',
    group: 'preflight',
    requirement: ['S0-4', 'S1-59'],
    about: 'inodes',
    expected: 'at least 10 % free',
    hint: 'something has made very many files: sudo du --inodes -xd2 / | sort -n | tail',
    look: async () => {
      const { inodes, freeInodes, directory } = await use();
      if (inodes === 0) return pass(`the file system at ${directory} makes them as it needs them`);
      const share = freeInodes / inodes;
      return (share >= leastShare ? pass : fail)(`${Math.floor(share * 100)} % free at ${directory}`);
    },
  };
}
