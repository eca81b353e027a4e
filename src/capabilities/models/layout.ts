import { join } from 'node:path';
import { ApplianceError } from '../../lib/errors.ts';

/** What a name, or the label of a version, may be: it becomes the name of a directory. */
const labelPattern = /^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$/;

/** Where things lie in a models directory, which containers mount read-only (S0-13, S0-15, S2-5). */
export interface ModelFiles {
  readonly directory: string;
  /** Opened by the application too, read-only. */
  readonly registry: string;
  /** `<name>/<version>/` below it, immutable. */
  readonly versions: string;
  /** What is still being copied; on the same file system, so that a rename finishes it. */
  readonly staging: string;
}

export function modelFiles(directory: string): ModelFiles {
  return {
    directory,
    registry: join(directory, 'registry.db'),
    versions: join(directory, 'versions'),
    staging: join(directory, '.staging'),
  };
}

/** Directory of one version. Both labels are known to be good. */
export function versionDirectory(directory: string, name: string, version: string): string {
  return join(modelFiles(directory).versions, name, version);
}

/**
 * @param what `name of a model` or `version`, for the message
 * @throws ApplianceError `model_invalid` for a label that cannot be a directory, `..` and paths among them
 */
export function checkLabel(what: string, label: string): string {
  if (labelPattern.test(label)) return label;
  throw new ApplianceError('model_invalid', `${JSON.stringify(label.slice(0, 140))} cannot be the ${what}`, {
    left: 'nothing was registered',
    hint: 'use up to 128 letters, digits and . _ + -, beginning with a letter or a digit',
  });
}
