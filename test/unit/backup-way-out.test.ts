import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { backupKinds } from '../../src/capabilities/backups/manifest.ts';
import { withWayOut } from '../../src/capabilities/backups/way-out.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { ApplianceError } from '../../src/lib/errors.ts';
import { defineStep } from '../../src/operations/step.ts';

const failing = withWayOut(
  defineStep({
    action: 'collect-snapshot',
    args: z.object({ kind: z.enum(backupKinds) }),
    async apply({ kind }) {
      if (kind === 'nightly') throw new ApplianceError('backup_failed', 'no dump', { hint: 'look' });
      throw new ApplianceError('disk_full', 'no room', { left: 'nothing was touched', hint: 'free some' });
    },
  }),
);
const fail = (kind: string, signal = new AbortController().signal) =>
  failing
    .bind({ kind })
    .apply({ operation: 'deploy-1', signal, clock: systemClock, progress: () => undefined })
    .catch((error: unknown) => error);

describe('a backup that something else waits for (S1-11, S1-20)', () => {
  it.each(['pre-deploy', 'pre-migration'])('fails with the way to deploy without it: %s', async (kind) => {
    expect(await fail(kind)).toMatchObject({
      code: 'disk_full',
      left: 'nothing was touched',
      hint: 'free some; to deploy without a backup: add --skip-backup, which stands in the audit',
    });
  });

  it('fails with the way to restore without it', async () => {
    expect(await fail('safety')).toMatchObject({ hint: expect.stringContaining('--skip-safety') });
  });

  it('says nothing of that where nobody waits', async () => {
    expect(await fail('nightly')).toMatchObject({ hint: 'look' });
    expect(await fail('manual')).toMatchObject({ hint: 'free some' });
  });
});
