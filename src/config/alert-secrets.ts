import { readFile, stat } from 'node:fs/promises';
import { ApplianceError, messageOf, systemCode } from '../lib/errors.ts';
import type { AlertsConfig, ReceiverConfig } from './alerts.ts';

/**
 * Receiver → its secret, for those that have one.
 * @throws ApplianceError `config_missing`, `config_invalid` for a secret that is absent, empty or open to others
 */
export async function readSecrets(alerts: AlertsConfig): Promise<Map<string, string>> {
  const secrets = new Map<string, string>();
  for (const [name, receiver] of Object.entries(alerts.receivers)) {
    const file = secretOf(receiver);
    if (file !== undefined) secrets.set(name, await readSecret(file, name));
  }
  return secrets;
}

/** The file that holds the secret of a receiver; undefined when it has none. */
export function secretOf({ urlFile, keyFile, passwordFile }: ReceiverConfig): string | undefined {
  return urlFile ?? keyFile ?? passwordFile;
}

/**
 * Reads the secret of a receiver.
 * @throws ApplianceError `config_missing`, `config_invalid` for one that is absent, empty or open to others
 */
export async function readSecret(file: string, receiver: string): Promise<string> {
  const refuse = (code: 'config_missing' | 'config_invalid', what: string, hint: string) =>
    new ApplianceError(code, what, { left: 'Alertmanager goes on with what it has', hint });
  const where = `alerts.receivers.${receiver} in appliance.yaml names it`;
  try {
    const { mode } = await stat(file);
    if ((mode & 0o077) !== 0) {
      const open = `${file} has mode ${(mode & 0o777).toString(8)}: others on this host can reach the secret in it`;
      throw refuse('config_invalid', open, `chmod 600 ${file}`);
    }
    const secret = (await readFile(file, 'utf8')).trim();
    if (secret === '') throw refuse('config_invalid', `${file} is empty`, where);
    return secret;
  } catch (error) {
    if (error instanceof ApplianceError) throw error;
    if (systemCode(error) === 'ENOENT') throw refuse('config_missing', `there is no ${file}`, where);
    throw refuse('config_invalid', `${file} cannot be read: ${messageOf(error)}`, where);
  }
}
