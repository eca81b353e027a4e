import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { secretKey } from '../../capabilities/checks/upkeep/secrets.ts';
import { parseEnvironment } from '../../config/environment.ts';
import type { Config } from '../../config/schema.ts';
import type { Paths } from '../../lib/paths.ts';
import { type KnownForms, type KnownSecret, knownForms } from '../../lib/redact.ts';

/** Largest file that can hold a secret, in bytes, and how many are read below one directory. */
const bounds = { bytes: 256 * 1024, files: 200 };
/** Members of an account's key that are private (RFC 7517). */
const privateMember = /"(?:d|p|q|dp|dq|qi|k)"\s*:\s*"([A-Za-z0-9_-]{16,})"/g;
/** `postgresql://user:password@host` */
const password = /^[a-z][a-z0-9+.-]*:\/\/[^/@\s:]*:([^/@\s]+)@/i;
/** The environment of a release as it was frozen. */
const frozenValues = z.record(z.string(), z.string());
/** A path is where a secret lies, not the secret. */
const pathKey = /(?:_FILE|_PATH|_DIR|_URL_FILE)$/i;

/**
 * Every secret that this appliance holds on the disk, so that it can be taken out of whatever is shown or packed: the
 * environment, of today and of each release; files of receivers and targets; keys of backups, certificates, accounts and
 * models. What cannot be read cannot be known, and is told.
 * @param config undefined where appliance.yaml cannot be used: then what its directory holds is known all the same
 */
export async function secretsOf(
  paths: Paths,
  config: Config | undefined,
): Promise<{ readonly forms: KnownForms; readonly problems: readonly string[] }> {
  const known: KnownSecret[] = [];
  const problems: string[] = [];
  const reading = async (path: string, take: (text: string) => void): Promise<void> => {
    try {
      const bytes = await readFile(path);
      if (bytes.length <= bounds.bytes) take(bytes.toString('utf8'));
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
      if (code !== 'ENOENT')
        problems.push(`${path} cannot be read (${code}): secrets in it are known by their form alone`);
    }
  };
  const whole = (name: string) => (text: string) => void known.push({ name, value: text.trim() });
  const environment = (text: string, path: string): void => {
    try {
      const values = path.endsWith('.json')
        ? frozenValues.parse(JSON.parse(text))
        : parseEnvironment(text, path).values;
      known.push(...secretsIn(values));
    } catch {
      // A file with a mistake in it: each line is taken as it stands.
      known.push(...secretsIn(Object.fromEntries(text.split('\n').map((line) => cutAt(line, '=')))));
    }
  };

  const environments = [
    ...(config?.source.envFile === undefined ? [] : [config.source.envFile]),
    ...(await filesBelow(paths.etc)).filter((path) => /(?:\.env(?:\.\w+)?|environment)$/.test(path)),
  ];
  for (const path of new Set(environments)) await reading(path, (text) => environment(text, path));
  // An example holds words that stand for secrets, and those are words of every text.
  for (const path of await filesBelow(paths.releases))
    if (/\.(?:example|sample|template|dist)$/.test(path)) continue;
    else if (/(?:^|\/)(?:environment|\.env)[^/]*$|\.env$/.test(path))
      await reading(path, (text) => environment(text, path));
    else if (/\/secrets\//.test(path)) await reading(path, whole('secret of a release'));

  for (const [name, receiver] of Object.entries(config?.alerts?.receivers ?? {}))
    for (const path of [receiver.urlFile, receiver.keyFile, receiver.passwordFile])
      if (path !== undefined) await reading(path, whole(`receiver ${name}`));
  for (const { name, environmentFile } of config?.backups.offsite ?? [])
    if (environmentFile !== undefined)
      await reading(environmentFile, (text) => {
        for (const [, value] of text.split('\n').map((line) => cutAt(line, '=')))
          if (value.length > 7) known.push({ name: `target ${name}`, value });
      });

  await reading(join(paths.lib, 'backups', 'key'), (text) => {
    known.push(
      { name: 'key of the backups', value: text.trim() },
      { name: 'key of the backups', value: text.trim().replaceAll('-', '') },
    );
  });
  for (const directory of [
    join(paths.lib, 'certificates'),
    join(paths.edge, 'certs'),
    join(paths.lib, 'model-keys'),
    join(paths.lib, 'monitoring'),
  ])
    for (const path of await filesBelow(directory))
      await reading(path, (text) => {
        if (/PRIVATE KEY/.test(text)) known.push({ name: 'private key', value: text });
        for (const [, value = ''] of text.matchAll(privateMember)) known.push({ name: 'key of an account', value });
      });
  return { forms: knownForms(known), problems };
}

/** Values of keys that are secrets by their name, and passwords in addresses. */
function secretsIn(values: Readonly<Record<string, string>>): KnownSecret[] {
  return Object.entries(values).flatMap(([name, value]) => {
    const inside = password.exec(value)?.[1];
    const parts =
      inside === undefined
        ? []
        : [
            { name, value: inside },
            { name, value: decoded(inside) },
          ];
    const own = secretKey.test(name) && !pathKey.test(name) && !value.startsWith('/') ? [{ name, value }] : [];
    return [...own, ...parts];
  });
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function cutAt(line: string, at: string): [string, string] {
  const place = line.indexOf(at);
  return place < 0
    ? [line.trim(), '']
    : [
        line
          .slice(0, place)
          .replace(/^export\s+/, '')
          .trim(),
        line
          .slice(place + 1)
          .trim()
          .replace(/^(["'])(.*)\1$/, '$2'),
      ];
}

async function filesBelow(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => entry.isFile())
      .slice(0, bounds.files)
      .map(({ parentPath, name }) => join(parentPath, name));
  } catch {
    return [];
  }
}
