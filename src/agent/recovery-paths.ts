import { join } from 'node:path';
import type { Paths } from '../lib/paths.ts';

/** Where a recovery remembers how far it is, and where it has the snapshot. */
export function recoveryPaths({ lib }: Pick<Paths, 'lib'>): { readonly note: string; readonly directory: string } {
  return { note: join(lib, 'backups/recovery.json'), directory: join(lib, 'backups/recovery') };
}
