/**
 * Installs a certificate like an agent that is killed on the way: with SIGKILL, before the action whose number is given.
 * Arguments: what `edge-certificates.test.ts` puts together, as JSON.
 */
import { z } from 'zod';
import { createTraffic } from '../../src/capabilities/traffic/index.ts';
import { configSchema } from '../../src/config/schema.ts';
import { run } from '../../src/host/process.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { pathsFor } from '../../src/lib/paths.ts';

const { config, root, container, args, killAt } = z
  .object({
    config: z.unknown(),
    root: z.string(),
    container: z.string(),
    args: z.unknown(),
    killAt: z.int(),
  })
  .parse(JSON.parse(process.argv[2] ?? ''));

let actions = 0;
const act = (): void => {
  actions += 1;
  if (actions === killAt) process.kill(process.pid, 'SIGKILL');
};
const traffic = createTraffic({
  config: configSchema.parse(config),
  paths: pathsFor(root),
  clock: {
    ...systemClock,
    sleep: async (ms, signal) => {
      act();
      await systemClock.sleep(ms, signal);
    },
  },
  exec: async (argv, about) => {
    act();
    const result = await run('docker', ['exec', container, ...argv], about);
    act();
    return result;
  },
});
const done = await traffic.installCertificate.bind(args).apply({
  operation: 'test',
  signal: AbortSignal.timeout(60_000),
  clock: systemClock,
  progress: act,
});
process.stdout.write(`${actions} ${done}\n`);
