import { readFile, stat } from 'node:fs/promises';
import { readEnvironment } from '../../../config/index.ts';
import type { Config } from '../../../config/schema.ts';
import { ApplianceError, messageOf } from '../../../lib/errors.ts';
import type { HeldSecret } from './secret-ages.ts';

/** Keys whose values are secrets by their name. */
export const secretKey = /PASS|SECRET|TOKEN|(?:^|_)KEYS?(?:_|$)|APIKEY|CREDENTIAL|PRIVATE|DSN/i;
/** A file that holds one secret and nothing else. */
export interface SecretFile {
  readonly name: string;
  readonly path: string;
}

/** `postgresql://user:password@host` */
const withPassword = /^[a-z][a-z0-9+.-]*:\/\/[^/@\s]*:[^/@\s]+@/i;

/**
 * The secrets that are known: keys of the environment file, the files of receivers of alerts, and those that containers mount.
 * @param mounted `secrets:` of the Compose file, as the live release has them
 * @throws ApplianceError `config_missing`, `config_invalid` when one cannot be read; its age could never be told then
 */
export async function heldSecrets(
  { source, alerts }: Pick<Config, 'source' | 'alerts'>,
  mounted: readonly SecretFile[],
): Promise<HeldSecret[]> {
  const { values } = await readEnvironment(source.envFile);
  const written = source.envFile === undefined ? 0 : (await stat(source.envFile)).mtimeMs;
  const keys = Object.entries(values)
    .filter(([key, value]) => value !== '' && (secretKey.test(key) || withPassword.test(value)))
    .map(([name, value]) => ({ name, value, written }));
  const files = Object.entries(alerts?.receivers ?? {}).flatMap(([name, { urlFile, keyFile, passwordFile }]) =>
    [urlFile, keyFile, passwordFile].flatMap((path) =>
      path === undefined ? [] : [{ name: `alerts.receivers.${name}`, path }],
    ),
  );
  return [...keys, ...(await Promise.all([...files, ...mounted].map(secretFile)))];
}

async function secretFile({ name, path }: SecretFile): Promise<HeldSecret> {
  try {
    const [{ mtimeMs }, value] = await Promise.all([stat(path), readFile(path, 'utf8')]);
    return { name, value, written: mtimeMs };
  } catch (error) {
    throw new ApplianceError('config_invalid', `${path} cannot be read: ${messageOf(error)}`, {
      hint: `it holds the secret ${name}`,
      cause: error,
    });
  }
}
