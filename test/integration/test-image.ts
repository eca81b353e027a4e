import { run } from '../../src/host/process.ts';

/**
 * Builds an image that only tests need, where it is not there yet, with the host's own way to Debian's archive.
 * @param directory with its Dockerfile
 */
export async function buildImage(image: string, directory: string): Promise<void> {
  const present = await run('docker', ['image', 'inspect', image], { timeout: 60_000 });
  if (present.exitCode === 0) return;
  const proxies = await Promise.all(
    (['http', 'https'] as const).map(async (scheme) => {
      const shell = await run('apt-config', ['shell', 'PROXY', `Acquire::${scheme}::Proxy`], { timeout: 30_000 });
      const value = /^PROXY='([^']*)'/m.exec(shell.stdout)?.[1] ?? '';
      return value === '' || value === 'DIRECT' ? [] : ['--build-arg', `${scheme}_proxy=${value}`];
    }),
  );
  const built = await run('docker', ['build', '--tag', image, ...proxies.flat(), directory], { timeout: 500_000 });
  if (built.exitCode !== 0)
    throw new Error(`${image} could not be built: ${built.stderr}${built.stdout}`.slice(-4_000));
}
