import { realpath, rm } from 'node:fs/promises';
import { isAbsolute, join, relative } from 'node:path';
import type { Config } from '../../config/schema.ts';
import { readIfPresent, writeFileAtomic } from '../../host/files.ts';
import { systemCode } from '../../lib/errors.ts';
import { contentHash } from './content.ts';
import { type ComposeModel, type Service, unescapeDollar } from './model.ts';
import { roleOf } from './project.ts';

/** Path inside the checkout, or undefined when it is outside. */
export function insideCheckout(checkout: string, path: string): string | undefined {
  const inner = relative(checkout, path);
  return inner === '..' || inner.startsWith('../') || isAbsolute(inner) ? undefined : inner;
}

/**
 * What a path of the checkout leads to, which is what the engine would mount.
 * @returns undefined when a link leads out of the checkout
 */
async function resolvedInside(checkout: string, path: string): Promise<string | undefined> {
  const real = await realpath(path);
  return insideCheckout(await realpath(checkout), real) === undefined ? undefined : real;
}

/** Whether a path lies in one of the directories that all releases share; `directory` is where `./` starts. */
export function isPersistent(config: Pick<Config, 'persistent'>, directory: string, path: string): boolean {
  return config.persistent.some((shared) => insideCheckout(join(directory, shared), path) !== undefined);
}

/**
 * Puts the environment file where Compose looks for it while `work` runs, and takes it away again: left there, it would
 * be part of every build context, and `COPY . .` would put its secrets into an image.
 * @param text undefined leaves what the repository brings
 */
export async function withEnvironmentFile<T>(
  directory: string,
  text: string | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (text === undefined) return work();
  const path = join(directory, '.env');
  const committed = await readIfPresent(path);
  await writeFileAtomic(path, text.replaceAll('\r\n', '\n'), 0o600);
  try {
    return await work();
  } finally {
    if (committed === undefined) await rm(path, { force: true });
    else await writeFileAtomic(path, committed);
  }
}

/**
 * Hashes what Compose's own hash ignores: mounted files, secrets and configs.
 * @param problems is told of what does not exist
 */
export async function hashFiles(
  config: Config,
  checkout: string,
  directory: string,
  model: ComposeModel,
  problems: string[],
): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  const add = async (path: string, label: string, hint: string) => {
    try {
      const inner = insideCheckout(checkout, path);
      const real = inner === undefined ? path : await resolvedInside(checkout, path);
      if (real === undefined) {
        const target = await realpath(path);
        problems.push(`${label}: ${inner} leads out of the repository, to ${target}; name that by its absolute path`);
      } else hashes[inner ?? path] = await contentHash(real);
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
      problems.push(`${label}: ${insideCheckout(checkout, path) ?? path} does not exist; ${hint}`);
    }
  };
  for (const kind of ['secrets', 'configs'] as const) {
    for (const [name, object] of Object.entries(model[kind] ?? {})) {
      if (object.file === undefined) continue;
      const hint = 'commit it, name a file of this host by its absolute path, or take it from a variable';
      await add(unescapeDollar(object.file), `${kind}.${name}`, hint);
    }
  }
  for (const [name, service] of Object.entries(model.services)) {
    if (roleOf(config, name) === 'ignore') continue;
    for (const source of bindSources(service)) {
      if (insideCheckout(checkout, source) === undefined || isPersistent(config, directory, source)) continue;
      const hint = 'commit it, or list it under persistent: in appliance.yaml so that all releases share it';
      await add(source, `${name}: mount`, hint);
    }
  }
  return hashes;
}

function bindSources(service: Service): string[] {
  return (service.volumes ?? []).flatMap(({ type, source }) =>
    type === 'bind' && source !== undefined ? [unescapeDollar(source)] : [],
  );
}
