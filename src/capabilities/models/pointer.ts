import { randomBytes } from 'node:crypto';
import { readdir, readlink, rename, rm, symlink, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { syncDirectory } from '../../host/files.ts';
import { ApplianceError, messageOf, systemCode } from '../../lib/errors.ts';
import { checkLabel, versionDirectory } from './layout.ts';
import { manifestName } from './manifest.ts';

/** Which version is in force. */
export interface Pointer {
  readonly name: string;
  readonly version: string;
}

const pointerName = 'current';
const target = /^versions\/([^/]+)\/([^/]+)\/?$/;
const temporary = /^\.current\.[0-9a-f]{12}$/;

/**
 * Which version `current` names, relative, so that it also holds inside of a container (S0-15).
 * @returns null where there is no `current`, or it names no version: then applications read the directory itself
 */
export async function readPointer(directory: string): Promise<Pointer | null> {
  try {
    const [, name, version] = target.exec(await readlink(join(directory, pointerName))) ?? [];
    return name === undefined || version === undefined ? null : { name, version };
  } catch (error) {
    // EINVAL: somebody has put a real directory there.
    if (['ENOENT', 'EINVAL', 'ENOTDIR'].includes(systemCode(error) ?? '')) return null;
    throw error;
  }
}

/**
 * Puts a version in force with one rename: whoever looks sees the one before or this one (`ln -sfn` unlinks first).
 * The manifest gets a newer time, rollbacks included, for whoever watches times alone.
 * @param to null takes `current` away, as it was before the first version
 * @throws ApplianceError `model_invalid` when something that is no pointer stands in its place; `disk_full`
 */
export async function switchPointer(directory: string, to: Pointer | null, now: Date): Promise<void> {
  const pointer = join(directory, pointerName);
  if (to === null) {
    if ((await readPointer(directory)) !== null) await rm(pointer);
    await syncDirectory(directory);
    return;
  }
  const version = checkLabel('version', to.version);
  const name = checkLabel('name of a model', to.name);
  await touch(join(versionDirectory(directory, name, version), manifestName), now);
  const next = join(directory, `.${pointerName}.${randomBytes(6).toString('hex')}`);
  try {
    await symlink(join('versions', name, version), next);
    await rename(next, pointer);
  } catch (error) {
    await rm(next, { force: true });
    if (systemCode(error) === 'EISDIR' || systemCode(error) === 'EEXIST' || systemCode(error) === 'ENOTEMPTY')
      throw new ApplianceError('model_invalid', `${pointer} is no pointer to a version but a directory`, {
        left: 'the model in force stays as it is',
        hint: `register what it holds: appliance models add ${pointer}; then move it away`,
        cause: error,
      });
    throw error;
  }
  await syncDirectory(directory);
}

/** Removes what a switch left that was cut short. */
export async function tidyPointers(directory: string): Promise<void> {
  for (const name of await readdir(directory))
    if (temporary.test(name)) await rm(join(directory, name), { force: true });
}

async function touch(manifest: string, now: Date): Promise<void> {
  try {
    await utimes(manifest, now, now);
  } catch (error) {
    const readOnly = systemCode(error) === 'EROFS';
    const why = readOnly
      ? `${manifest} lies on a read-only file system`
      : `${manifest} is not there: ${messageOf(error)}`;
    throw new ApplianceError('model_invalid', why, {
      left: 'the model in force stays as it is',
      hint: readOnly
        ? 'mount it writable (dmesg says why it is not), then say it again'
        : 'compare the version with its record: appliance models verify',
      cause: error,
    });
  }
}
