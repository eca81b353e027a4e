import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureDirectory, readIfPresent, writeFileAtomic } from '../../host/files.ts';

/** Files that the agent writes and the containers of monitoring read, each inside a mounted directory. */
export interface MonitoringFiles {
  /** Mounted as /etc/prometheus. */
  readonly prometheusDirectory: string;
  readonly prometheus: string;
  readonly rulesDirectory: string;
  readonly targets: string;
  /** Mounted as /etc/alertmanager. */
  readonly alertmanager: string;
  /** Mounted as /textfile; what ends in `.prom` there becomes metrics. */
  readonly textfile: string;
}

/** @param directory `<lib>/monitoring` */
export function monitoringFiles(directory: string): MonitoringFiles {
  const prometheusDirectory = join(directory, 'prometheus');
  return {
    prometheusDirectory,
    prometheus: join(prometheusDirectory, 'prometheus.yml'),
    rulesDirectory: join(prometheusDirectory, 'rules'),
    targets: join(prometheusDirectory, 'targets', 'app.json'),
    alertmanager: join(directory, 'alertmanager', 'alertmanager.yml'),
    textfile: join(directory, 'textfile', 'appliance.prom'),
  };
}

/** What Prometheus is told. */
export interface PrometheusTexts {
  readonly config: string;
  /** Name of a file below rules/ → its text. */
  readonly rules: Readonly<Record<string, string>>;
}

/** Sends alerts nowhere; in force until somebody says whom to tell. */
const quietAlertmanager = 'route: { receiver: none }\nreceivers: [{ name: none }]\n';

/**
 * Writes what Prometheus reads, only where it differs, and a first configuration for an Alertmanager that has none.
 * @returns whether Prometheus has something new to read
 */
export async function writePrometheus(files: MonitoringFiles, texts: PrometheusTexts): Promise<boolean> {
  await ensureDirectory(files.rulesDirectory);
  let changed = false;
  for (const [name, text] of Object.entries(texts.rules))
    if (await writeIfDifferent(join(files.rulesDirectory, name), text)) changed = true;
  for (const name of await readdir(files.rulesDirectory)) {
    if (name in texts.rules || !name.endsWith('.yml')) continue;
    await rm(join(files.rulesDirectory, name), { force: true });
    changed = true;
  }
  if (await writeIfDifferent(files.prometheus, texts.config)) changed = true;
  if ((await readIfPresent(files.alertmanager)) === undefined)
    await writeIfDifferent(files.alertmanager, quietAlertmanager);
  return changed;
}

/** @returns whether there was something to write */
export async function writeIfDifferent(path: string, text: string): Promise<boolean> {
  if ((await readIfPresent(path)) === text) return false;
  await ensureDirectory(join(path, '..'));
  await writeFileAtomic(path, text, 0o644);
  return true;
}
