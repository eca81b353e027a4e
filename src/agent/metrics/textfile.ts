import { chmod, mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Replaces a file of metrics, so that the exporter reads the old or the new one and nothing between. Unlike other state
 * it is not synced to the disk: after a crash of the host it would be out of date anyway, and a sync every few seconds
 * would keep the disk busy for nothing.
 */
export async function writeTextfile(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o755 });
  // The exporter reads names that end in .prom; removeTemporaryFiles knows nothing of this one, the next write does.
  const temporary = join(dirname(path), '.appliance.writing');
  await writeFile(temporary, text);
  await chmod(temporary, 0o644);
  await rename(temporary, path);
}
