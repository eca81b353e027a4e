import { accessSync, constants } from 'node:fs';
import { ApplianceError, systemCode } from '../../lib/errors.ts';

const reasons: Readonly<Record<string, string>> = {
  EROFS: 'it is mounted read-only',
  EACCES: 'its permissions do not allow it',
  EPERM: 'it is marked immutable, or its permissions do not allow it',
};

/** @returns what to tell of an error where the models directory cannot be written; undefined for any other error */
export function unwritable(directory: string, error: unknown): ApplianceError | undefined {
  const reason = reasons[systemCode(error) ?? ''];
  if (reason === undefined) return undefined;
  return new ApplianceError('not_permitted', `${directory} cannot be written: ${reason}`, {
    left: 'nothing was registered; the model in force goes on being served',
    hint: 'make it writable (mount, lsattr, ls -ld show why it is not), then say it again',
    cause: error,
  });
}

/** As `unwritable`, by asking whether the directory can be written: SQLite says only that it cannot open a file. */
export function whyUnwritable(directory: string): ApplianceError | undefined {
  try {
    accessSync(directory, constants.W_OK);
    return undefined;
  } catch (error) {
    return unwritable(directory, error);
  }
}
