import semver from 'semver';
import { z } from 'zod';
import type { Compose } from '../../host/compose.ts';
import type { Engine } from '../../host/docker.ts';
import { fileSystemUse } from '../../host/machine.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/units.ts';
import type { Finding } from '../../lib/verdict.ts';
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
  /** Works through the checklists that come before a deploy, and keeps what they say with its operation. */
  readonly checklists?: (
    wish: { readonly tag: string; readonly policy: string | undefined },
    operation: string,
    signal: AbortSignal,
  ) => Promise<{ readonly findings: readonly Finding[]; readonly refused: readonly Finding[] }>;
}) {
  return defineStep({
    action: 'check-host',
    args: z.object({ minimumFreeBytes: z.number(), tag: z.string().optional(), policy: z.string().optional() }),
    apply: async ({ minimumFreeBytes, tag, policy }, { operation, signal, progress }) => {
      await deps.engine.ping();
      const versions = await deps.compose.version();
      assertVersion('Docker Engine', versions.engine, oldestEngine);
      assertVersion('Docker Compose', versions.compose, oldestCompose);
      const { free } = await fileSystemUse(deps.directory);
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
      const about = `Engine ${versions.engine}, Compose ${versions.compose}, ${formatBytes(free)} free`;
      if (tag === undefined || !deps.checklists) return about;
      const { findings, refused } = await deps.checklists({ tag, policy }, operation, signal);
      assertNotRefused(refused);
      const open = findings.filter(({ verdict }) => verdict !== 'pass');
      for (const { id, verdict, observed } of open) if (verdict === 'fail') progress(`${id} fails: ${observed}`);
      return `${about}; ${findings.length - open.length} of ${findings.length} checks pass`;
    },
  });
}

/** @throws ApplianceError `verdict_fail` */
function assertNotRefused(refused: readonly Finding[]): void {
  if (refused.length === 0) return;
  const words = refused.map(({ id, observed }) => `${id}: ${observed}`).join('\n');
  throw new ApplianceError('verdict_fail', `checks that a deploy must pass have failed\n${words}`, {
    left: 'nothing was touched',
    hint: refused[0]?.hint ?? 'appliance check',
  });
}

function assertVersion(what: string, found: string, oldest: string): void {
  const version = semver.coerce(found);
  if (version && semver.gte(version, oldest)) return;
  throw new ApplianceError('step_failed', `${what} ${found} is too old; ${oldest} or later is needed`, {
    left: 'nothing was touched',
  });
}
