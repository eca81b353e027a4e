import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import semver from 'semver';
import { fileSystemUse } from '../../host/machine.ts';
import { run } from '../../host/process.ts';
import { ApplianceError, messageOf } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/units.ts';
import { packageOf } from './program.ts';

/** A version of the appliance that somebody has brought. */
export interface Source {
  readonly directory: string;
  readonly version: string;
  /** `VERSION-FINGERPRINT`, as its own installer names it. */
  readonly program: string;
}

const nothing = 'nothing was touched';
/** Milliseconds for one look into, or one unpacking of, an archive. */
const archiveTimeout = 600_000;
/** Directories of this process below the prefix; what a killed one has left is removed by the next. */
const scratch = 'unpacked.';

/** Removes what updates that were killed have left. */
export async function sweep(prefix: string): Promise<void> {
  for (const name of await readdir(prefix))
    if (name.startsWith(scratch)) await rm(join(prefix, name), { recursive: true, force: true });
}

/**
 * Makes a directory of sources ready for what somebody has brought, and uses it.
 * @param path a directory, or an archive of one as tar makes it
 * @throws ApplianceError `usage` for what is no appliance, or lies where others may write; `disk_full`; `not_permitted`
 */
export async function withSource<T>(
  path: string,
  prefix: string,
  signal: AbortSignal,
  use: (source: Source) => Promise<T>,
): Promise<T> {
  const kind = await stat(resolve(path)).catch((error: unknown) => {
    throw refused(`${path} cannot be read: ${messageOf(error)}`, 'name a directory or an archive of the new version');
  });
  if (kind.isDirectory()) return use(await sourceOf(resolve(path), signal));
  if (!kind.isFile()) throw refused(`${path} is neither a directory nor an archive`);
  await mkdir(prefix, { recursive: true });
  const directory = await mkdtemp(join(prefix, scratch));
  try {
    await unpack(resolve(path), directory, signal);
    return await use(await sourceOf(await topOf(directory), signal));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function refused(message: string, hint?: string): ApplianceError {
  return new ApplianceError('usage', message, { left: nothing, hint });
}

/** Type, size and name of an entry as `tar --list --verbose --numeric-owner` prints it. */
const entry = /^(.)\S+ +\S+ +(\d+) +\S+ +\S+ (.*)$/;

async function unpack(archive: string, directory: string, signal: AbortSignal): Promise<void> {
  const tar = (args: readonly string[]) => run('tar', args, { timeout: archiveTimeout, signal });
  const list = await tar(['--list', '--verbose', '--numeric-owner', '--quoting-style=escape', '--file', archive]);
  if (list.exitCode !== 0)
    throw refused(
      `${archive} is no whole archive: ${lastLine(list.stderr)}`,
      'fetch it again, and compare its checksum',
    );
  let bytes = 0;
  for (const line of list.stdout.split('\n').filter(Boolean)) {
    const [, type = '?', size = '0', name = ''] = entry.exec(line) ?? [];
    assertHarmless(archive, type, name);
    bytes += Number(size);
  }
  const { free } = await fileSystemUse(directory);
  if (bytes > free)
    throw new ApplianceError(
      'disk_full',
      `${archive} holds ${formatBytes(bytes)}, ${formatBytes(free)} are free in ${directory}`,
      {
        left: nothing,
        hint: 'make room there, or unpack it elsewhere and name the directory',
      },
    );
  const into = ['--extract', '--file', archive, '--directory', directory];
  const out = await tar([...into, '--no-same-owner', '--no-same-permissions', '--delay-directory-restore']);
  if (out.exitCode !== 0)
    throw new ApplianceError(
      /No space left/.test(out.stderr) ? 'disk_full' : 'usage',
      `${archive} cannot be unpacked: ${lastLine(out.stderr)}`,
      {
        left: nothing,
      },
    );
}

/** Files, directories and links, all of them below the top: anything else is not what a release is made of. */
function assertHarmless(archive: string, type: string, text: string): void {
  const [name = '', target] = text.split(/ -> | link to /);
  const outside = (path: string): boolean => path.startsWith('/') || path.split('/').includes('..');
  if (outside(name)) throw refused(`${archive} is refused: ${name} would be unpacked outside of its directory`);
  if (!'-dlh'.includes(type)) throw refused(`${archive} is refused: ${name} is no file, directory or link`);
  if (type === 'h' && outside(target ?? '')) throw refused(`${archive} is refused: ${name} links to ${target}`);
  if (type === 'l' && (target ?? '').startsWith('/'))
    throw refused(`${archive} is refused: ${name} points to ${target}`);
}

/** An archive holds the files themselves, or one directory with them. */
async function topOf(directory: string): Promise<string> {
  const names = await readdir(directory);
  return names.length === 1 && names[0] !== undefined ? join(directory, names[0]) : directory;
}

async function sourceOf(directory: string, signal: AbortSignal): Promise<Source> {
  const about = packageOf(directory);
  const installer = join(directory, 'install.sh');
  const there = await stat(installer).catch(() => undefined);
  if (about?.name !== 'appliance' || semver.valid(about.version) === null || !there?.isFile())
    throw refused(
      `${directory} is no appliance: ${about?.name === 'appliance' ? 'it has no install.sh, or no version' : 'its package.json does not say so'}`,
      'name the directory that has its install.sh, or an archive of it',
    );
  await assertOurs(directory);
  const { exitCode, stdout, stderr } = await run(installer, ['--id'], { timeout: 60_000, signal });
  const program = stdout.trim();
  if (exitCode !== 0 || !/^\S+-[0-9a-f]{12}$/.test(program))
    throw refused(
      `${directory} (${about.version}) cannot be installed by self-update: ${lastLine(stderr) || 'its installer does not say what it is'}`,
      `run its installer: sudo ${installer}`,
    );
  return { directory, version: about.version, program };
}

/** Its installer is run as root, so nobody else may have changed it. */
async function assertOurs(directory: string): Promise<void> {
  const trusted = new Set([0, process.getuid?.(), Number(process.env.SUDO_UID ?? 0)]);
  for (const name of ['', 'install.sh', 'package.json', 'packaging', 'scripts', 'src', 'build.js']) {
    const path = join(directory, name);
    const seen = await stat(path).catch(() => undefined);
    if (!seen) continue;
    if (!trusted.has(seen.uid))
      throw refused(
        `${path} belongs to user ${seen.uid}, and its installer is run as root`,
        `sudo chown -R root ${directory}`,
      );
    if ((seen.mode & 0o002) !== 0 && (seen.mode & 0o1000) === 0)
      throw refused(`everybody may write ${path}, and its installer is run as root`, `chmod -R o-w ${directory}`);
  }
}

/** The end of what a program said: what it failed for. */
function lastLine(text: string): string {
  return text.trim().split('\n').at(-1)?.trim() ?? '';
}
