import { execa } from 'execa';

/**
 * Removes everything that an appliance has made in the engine: containers, networks, volumes, images of its own name. At
 * the beginning of a test, because an earlier one may have been killed: a database that it left has another password.
 */
export async function removeTraces(appliance: string): Promise<void> {
  const list = async (...args: string[]) =>
    (await execa('docker', args)).stdout.split('\n').filter((line) => line !== '');
  const label = `label=appliance.name=${appliance}`;
  const containers = await list('ps', '--all', '--quiet', '--filter', label);
  if (containers.length > 0) await execa('docker', ['rm', '--force', '--volumes', ...containers]);
  for (const network of await list('network', 'ls', '--quiet', '--filter', label))
    await execa('docker', ['network', 'rm', network]);
  for (const volume of await list('volume', 'ls', '--quiet', '--filter', label))
    await execa('docker', ['volume', 'rm', volume]);
  const images = await list('images', '--format', '{{.Repository}}:{{.Tag}}', `appliance.local/${appliance}/*`);
  if (images.length > 0) await execa('docker', ['rmi', '--force', ...images]);
}
