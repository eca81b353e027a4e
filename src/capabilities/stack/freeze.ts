import { chmod, chown, cp, lstat, realpath, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Config } from '../../config/schema.ts';
import { ensureDirectory, exists, syncDirectory, writeFileAtomic } from '../../host/files.ts';
import { insideCheckout, isPersistent } from './checkout.ts';
import {
  escapeDollar,
  type FileObject,
  type FileReference,
  type Mount,
  type Service,
  unescapeDollar,
} from './model.ts';
import type { Project, ResolvedProject, Role } from './project.ts';

export interface FreezeRequest {
  readonly config: Pick<Config, 'persistent' | 'source'>;
  readonly project: ResolvedProject;
  readonly checkout: string;
  /** Directory of the release. Made private (0700): that, not the mode of each file, keeps other users out. */
  readonly directory: string;
  /** Directory for what all releases share, seeded from the first release that has it. */
  readonly persistentDirectory: string;
  /** Whose files are copied. Default: all but the ignored. */
  readonly roles?: readonly Role[];
}

/**
 * Copies everything that a project mounts from its checkout into the directory of the release, so that the release no
 * longer depends on the checkout, and returns the project with its paths pointing there. Run again, it starts afresh.
 *
 * Compose bind-mounts secrets and configs that are files with their own mode and owner, and writes those from variables
 * or inline text with the mode of the reference (default 0444). The copies look the same from inside a container.
 */
export async function freezeProject(request: FreezeRequest): Promise<Project> {
  const { project, directory } = request;
  const roles = request.roles ?? ['app', 'core', 'migrate', 'job'];
  const chosen = new Set(project.services.filter(({ role }) => roles.includes(role)).map(({ name }) => name));
  await ensureDirectory(directory, 0o700);
  await chmod(directory, 0o700);
  for (const kind of ['secrets', 'configs', 'files']) await rm(join(directory, kind), { recursive: true, force: true });

  const services: Record<string, Service> = {};
  const objects: Record<'secrets' | 'configs', Record<string, FileObject>> = { secrets: {}, configs: {} };
  for (const [name, service] of Object.entries(project.model.services)) {
    if (!chosen.has(name)) continue;
    const frozen: Service = { ...service };
    for (const kind of ['secrets', 'configs'] as const) {
      if (!service[kind]) continue;
      frozen[kind] = [];
      for (const reference of service[kind])
        frozen[kind].push(await freezeObject(request, kind, name, reference, objects[kind]));
    }
    if (service.volumes) {
      frozen.volumes = [];
      for (const mount of service.volumes) frozen.volumes.push(await freezeMount(request, mount));
    }
    const builder = project.services.find((known) => known.name === name)?.builtBy ?? name;
    const build = chosen.has(builder) ? undefined : project.model.services[builder]?.build;
    services[name] = build ? { ...frozen, build } : frozen;
  }
  // Builds name secrets, too.
  for (const source of Object.keys(project.model.secrets ?? {}))
    await freezeObject(request, 'secrets', '', { source }, objects.secrets);
  await syncDirectory(directory);
  const { inline: _private, ...rest } = project;
  return {
    ...rest,
    model: { ...project.model, services, ...objects },
    services: project.services
      .filter(({ name }) => chosen.has(name))
      .map((service) =>
        service.builtBy === null || chosen.has(service.builtBy) ? service : { ...service, builtBy: service.name },
      ),
  };
}

async function freezeObject(
  request: FreezeRequest,
  kind: 'secrets' | 'configs',
  service: string,
  reference: FileReference,
  frozen: Record<string, FileObject>,
): Promise<FileReference> {
  const { source, uid, gid, mode, ...rest } = reference;
  const object = request.project.model[kind]?.[source] ?? {};
  const target = reference.target ?? (kind === 'secrets' ? `/run/secrets/${source}` : `/${source}`);
  if (object.file !== undefined) {
    frozen[source] ??= await copyObject(request, kind, source, object, unescapeDollar(object.file));
    return { ...rest, source, target };
  }
  const plain = uid === undefined && gid === undefined && mode === undefined;
  const name = plain ? source : `${source}.${service}`;
  if (frozen[name] === undefined) {
    const path = join(request.directory, kind, name);
    await ensureDirectory(dirname(path), 0o755);
    await writeFileAtomic(path, request.project.inline[kind][source] ?? '', mode ?? 0o444);
    if (uid !== undefined || gid !== undefined) await giveTo(path, Number(uid ?? 0), Number(gid ?? 0));
    frozen[name] = { file: escapeDollar(path) };
  }
  return { ...rest, source: name, target };
}

async function copyObject(
  { directory }: FreezeRequest,
  kind: 'secrets' | 'configs',
  name: string,
  object: FileObject,
  from: string,
): Promise<FileObject> {
  const path = join(directory, kind, name);
  await ensureDirectory(dirname(path), 0o755);
  await copy(from, path);
  const { name: _composeName, ...rest } = object;
  return { ...rest, file: escapeDollar(path) };
}

async function freezeMount(request: FreezeRequest, mount: Mount): Promise<Mount> {
  if (mount.type !== 'bind' || mount.source === undefined) return mount;
  const { checkout, config } = request;
  const source = unescapeDollar(mount.source);
  const inner = insideCheckout(checkout, source);
  if (inner === undefined) return mount;
  const projectDirectory = join(checkout, dirname(config.source.compose[0] ?? 'compose.yaml'));
  if (isPersistent(config, projectDirectory, source)) {
    await seedPersistent(request, projectDirectory);
    const shared = insideCheckout(projectDirectory, source) ?? inner;
    const path = join(request.persistentDirectory, shared);
    await ensureDirectoryUnlessPresent(path);
    return { ...mount, source: escapeDollar(path) };
  }
  const path = join(request.directory, 'files', inner);
  await ensureDirectory(dirname(path), 0o755);
  await copy(source, path);
  return { ...mount, source: escapeDollar(path) };
}

/** Copies each shared directory once, from the first release that comes by. A crash leaves either nothing or all of it. */
async function seedPersistent(request: FreezeRequest, projectDirectory: string): Promise<void> {
  for (const shared of request.config.persistent) {
    const target = join(request.persistentDirectory, shared);
    if (await exists(target)) continue;
    await ensureDirectory(dirname(target), 0o755);
    const source = join(projectDirectory, shared);
    if (await exists(source)) {
      const half = `${target}.seeding`;
      await rm(half, { recursive: true, force: true });
      await copy(source, half);
      await rename(half, target);
    } else {
      await ensureDirectory(target, 0o755);
    }
    await syncDirectory(dirname(target));
  }
}

async function ensureDirectoryUnlessPresent(path: string): Promise<void> {
  if (!(await exists(path))) await ensureDirectory(path, 0o755);
}

/**
 * Copies a file or a directory with modes, times and the owner of the top. Of a link, what it leads to is copied: alone
 * in another place it would lead nowhere. Links inside of a directory stay links.
 */
async function copy(path: string, to: string): Promise<void> {
  const from = await realpath(path);
  await rm(to, { recursive: true, force: true });
  const { uid, gid } = await lstat(from);
  await cp(from, to, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true });
  await giveTo(to, uid, gid);
}

/** Changes the owner where we may; an appliance that is not run by root can only have files of its own. */
async function giveTo(path: string, uid: number, gid: number): Promise<void> {
  if (process.getuid?.() === 0) await chown(path, uid, gid);
}
