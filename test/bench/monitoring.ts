import { join } from 'node:path';
import { execa } from 'execa';

const builder = join(import.meta.dirname, '../../compose/images/build.sh');

/** Builds the images of monitoring where they are missing or old. */
export async function buildMonitoring(): Promise<void> {
  await execa(builder, ['prometheus', 'alertmanager', 'node-exporter'], { timeout: 600_000 });
}
