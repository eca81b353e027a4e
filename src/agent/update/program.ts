import { readFileSync, readlinkSync, realpathSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { type InstalledProgram, programWith } from '../../host/installation.ts';
import { ApplianceError, systemCode } from '../../lib/errors.ts';

/**
 * The program that this process runs.
 * @param file what was started
 * @throws ApplianceError `usage` for a program that runs from a checkout
 */
export function ownProgram(file = process.argv[1] ?? ''): InstalledProgram {
  const found = programWith(realpathSync(file));
  if (found) return found;
  throw new ApplianceError('usage', 'this appliance was not installed by install.sh, it runs from a checkout', {
    left: 'nothing was touched',
    hint: 'install it: sudo ./install.sh; or run the verb of an installed one: /opt/appliance/bin/appliance self-update',
  });
}

/** Name of the program that this process runs, for a file name: its version and fingerprint, where it was installed. */
export function programName(): string {
  try {
    return nameOf(ownProgram().runs);
  } catch {
    return 'source';
  }
}

/** The same of the program that ran before this one. */
export function programBefore(): string {
  try {
    const before = linked(ownProgram().prefix, 'previous');
    return before === undefined ? 'source' : nameOf(before);
  } catch {
    return 'source';
  }
}

/** What a link of the prefix points to, such as `programs/0.1.0-0123456789ab`. */
export function linked(prefix: string, name: 'program' | 'previous'): string | undefined {
  try {
    return readlinkSync(join(prefix, name));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** `programs/VERSION-FINGERPRINT` → `VERSION-FINGERPRINT`. */
export const nameOf = (program: string): string => program.slice('programs/'.length);

/** Points a link of the prefix elsewhere, in one rename. */
export function switchLink(prefix: string, name: 'program' | 'previous', to: string): void {
  const path = join(prefix, `${name}.new`);
  rmSync(path, { force: true });
  symlinkSync(to, path);
  renameSync(path, join(prefix, name));
}

const packageSchema = z.object({ name: z.string(), version: z.string() });

/** Name and version in the package.json of a program or of its sources. @returns undefined where there is none */
export function packageOf(directory: string): { readonly name: string; readonly version: string } | undefined {
  try {
    return packageSchema.parse(JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')));
  } catch {
    return undefined;
  }
}

/**
 * The program that a process has loaded, by the native code that is mapped into it: what the link points to may have
 * changed since it began.
 * @returns `programs/VERSION-FINGERPRINT`; undefined for a process that is gone, or runs from elsewhere
 */
export function programOf(pid: number, prefix: string): string | undefined {
  try {
    const maps = readFileSync(`/proc/${pid}/maps`, 'utf8');
    const file = maps.match(/\S+\/programs\/[^/\s]+\/dist\/\S*\.node\b/)?.[0];
    const found = programWith(file ?? '');
    return found?.prefix === resolve(prefix) ? found.runs : undefined;
  } catch {
    return undefined;
  }
}
