import { statfs } from 'node:fs/promises';
import semver from 'semver';
import { z } from 'zod';
import type { Compose } from '../../host/compose.ts';
import type { Engine } from '../../host/docker.ts';
import { ensureDirectory } from '../../host/files.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/units.ts';
import { defineStep } from '../../operations/step.ts';

/** S1-4 and S1-5. */
const oldestEngine = '20.10.0';
const oldestCompose = '2.0.0';

/** Whether this host can finish what is about to begin. */
export function checkHost(deps: {
  readonly engine: Pick<Engine, 'ping'>;
  readonly compose: Pick<Compose, 'version'>;
  /** Directory on the file system that must have room. */
  readonly directory: string;
}) {
  return defineStep({
    action: 'check-host',
    args: z.object({ minimumFreeBytes: z.number() }),
    apply: async ({ minimumFreeBytes }) => {
      await deps.engine.ping();
      const versions = await deps.compose.version();
      assertVersion('Docker Engine', versions.engine, oldestEngine);
      assertVersion('Docker Compose', versions.compose, oldestCompose);
      const free = await freeBytes(deps.directory);
      if (free < minimumFreeBytes) {
        throw new ApplianceError(
          'disk_full',
          `only ${formatBytes(free)} are free below ${deps.directory}; ${formatBytes(minimumFreeBytes)} are needed`,
          {
            left: 'nothing was touched',
            hint: 'free some space: appliance releases prune',
          },
        );
      }
      return `Engine ${versions.engine}, Compose ${versions.compose}, ${formatBytes(free)} free`;
    },
  });
}

function assertVersion(what: string, found: string, oldest: string): void {
  const version = semver.coerce(found);
  if (version && semver.gte(version, oldest)) return;
  throw new ApplianceError('step_failed', `${what} ${found} is too old; ${oldest} or later is needed`, {
    left: 'nothing was touched',
  });
}

/** Bytes that this process may still use on the file system of a directory. */
async function freeBytes(directory: string): Promise<number> {
  await ensureDirectory(directory);
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}
