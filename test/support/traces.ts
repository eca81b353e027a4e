import { ExecaError, execa } from 'execa';
import { drillLabel } from '../../src/capabilities/backups/drill.ts';

/**
 * Removes everything that an appliance, or a test by hand under its name, has made in the engine: containers, networks,
 * volumes, images of its own name. At the beginning of a test too, because an earlier one may have been killed: a database
 * that it left has another password, and a container that it left has the name.
 */
export async function removeTraces(appliance: string): Promise<void> {
  const list = async (...args: string[]) =>
    (await execa('docker', args)).stdout.split('\n').filter((line) => line !== '');
  const byHand = `name=^/?${appliance}-`;
  const [label, project] = [`label=appliance.name=${appliance}`, `label=com.docker.compose.project=${appliance}`];
  const ofTasks = ['appliance.backup', drillLabel].map((task) => `label=${task}=${appliance}`);
  // One filter each: several of one call must all be true.
  const found = async (filters: readonly string[], ...args: string[]) =>
    new Set((await Promise.all(filters.map((filter) => list(...args, '--quiet', '--filter', filter)))).flat());

  const containers = await found([label, project, byHand, ...ofTasks], 'ps', '--all');
  if (containers.size > 0) await execa('docker', ['rm', '--force', '--volumes', ...containers]);
  for (const network of await found([label, project, byHand], 'network', 'ls')) {
    const guests = await list('ps', '--all', '--quiet', '--filter', `network=${network}`);
    if (guests.length > 0) await execa('docker', ['rm', '--force', '--volumes', ...guests]);
    await execa('docker', ['network', 'rm', network]).catch(unlessMiscounted);
  }
  for (const volume of await found([label, project], 'volume', 'ls')) await execa('docker', ['volume', 'rm', volume]);
  const images = await list('images', '--format', '{{.Repository}}:{{.Tag}}', `appliance.local/${appliance}/*`);
  if (images.length > 0) await execa('docker', ['rmi', '--force', ...images]);
}

/**
 * An engine that is told to remove many containers at once may lose count of who is on their network, and keeps the network
 * until it starts anew (moby 42119; one network in thousands). An appliance of the name takes it again, so may a test.
 */
function unlessMiscounted(error: unknown): void {
  if (!(error instanceof ExecaError && /has active endpoints/.test(String(error.stderr)))) throw error;
}
