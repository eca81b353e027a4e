import { type Check, fail, pass } from '../check.ts';

export interface ModelEntry {
  /** Relative to the models directory. */
  readonly path: string;
  readonly directory: boolean;
  readonly mode: number;
  readonly uid: number;
}

/**
 * Nobody but its owner can change a model, and the application can read it (S1-32, S2-30, S0-14).
 * @param entries what lies in the models directory, itself included as `.`; undefined where appliance.yaml has no models
 */
export function modelDirectoryCheck(entries: () => Promise<readonly ModelEntry[] | undefined>): Check {
  return {
    id: 'config.model-directory',
    group: 'config',
    requirement: ['S1-32', 'S2-30', 'S0-14'],
    about: 'owner and modes of the models',
    expected: 'written by their owner alone, directories 755, one owner',
    hint: 'chmod -R go-w DIRECTORY, and give all of it to one user',
    look: async () => {
      const found = await entries();
      if (found === undefined) return pass('appliance.yaml has no section models');
      if (found.length === 0) return pass('no model was brought along yet');
      const open = found
        .filter(({ mode }) => (mode & 0o022) !== 0)
        .map(({ path, mode }) => `${path} ${(mode & 0o777).toString(8)}`);
      const closed = found
        .filter(({ directory, mode, path }) => directory && !path.startsWith('.staging') && (mode & 0o005) !== 0o005)
        .map(({ path }) => `${path} cannot be entered`);
      const owners = [...new Set(found.map(({ uid }) => uid))];
      const bad = [...open, ...closed, ...(owners.length > 1 ? [`owned by users ${owners.join(', ')}`] : [])];
      return bad.length > 0
        ? fail(bad.slice(0, 4).join('; '), { samples: found.length })
        : pass(`${found.length} entries of user ${owners.join()}`, { samples: found.length });
    },
  };
}
