import { chown, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readSecrets } from '../../config/alert-secrets.ts';
import type { AlertsConfig } from '../../config/alerts.ts';
import { ensureDirectory, readIfPresent, writeFileAtomic } from '../../host/files.ts';
import { alertmanagerConfig } from './alertmanager-config.ts';

/** User id of Alertmanager in its image (compose/images/alertmanager). */
const alertmanagerUser = 9093;
/** Where the directory is mounted in its container. */
const mountedAt = '/etc/alertmanager';

/**
 * Writes alertmanager.yml and copies of the secrets, for Alertmanager alone to read.
 * @param directory on this host that the container sees as /etc/alertmanager
 * @param onCall receivers of whoever is on call now
 * @returns whether anything changed, so that Alertmanager must read it again
 * @throws ApplianceError `config_missing`, `config_invalid` for a secret that is absent, empty or open to others
 */
export async function installConfiguration(
  directory: string,
  alerts: AlertsConfig,
  onCall: readonly string[],
): Promise<boolean> {
  const secrets = await readSecrets(alerts);
  const secretDirectory = join(directory, 'secrets');
  await ensureDirectory(directory, 0o755);
  await ensureDirectory(secretDirectory, 0o700);
  await give(secretDirectory);
  let changed = false;
  for (const [receiver, secret] of secrets) {
    const path = join(secretDirectory, receiver);
    if ((await readIfPresent(path)) === secret) continue;
    await writeFileAtomic(path, secret, 0o600);
    changed = true;
  }
  for (const name of await readdir(secretDirectory)) {
    if (secrets.has(name)) await give(join(secretDirectory, name));
    else await rm(join(secretDirectory, name));
  }
  const text = alertmanagerConfig({ alerts, onCall, secretDirectory: `${mountedAt}/secrets` });
  const path = join(directory, 'alertmanager.yml');
  if ((await readIfPresent(path)) === text) return changed;
  await writeFileAtomic(path, text, 0o644);
  return true;
}

/** Makes Alertmanager the owner, where we may. */
async function give(path: string): Promise<void> {
  if (process.getuid?.() === 0) await chown(path, alertmanagerUser, alertmanagerUser);
}
