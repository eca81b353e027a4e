import { z } from 'zod';
import { ApplianceError, asApplianceError } from '../../lib/errors.ts';
import type { StepContext, StepType } from '../../operations/step.ts';
import { type BackupKind, backupKinds } from './manifest.ts';

/** How whoever waits for a backup of a kind goes on without one. */
const waysOut: Partial<Record<BackupKind, string>> = {
  'pre-deploy': 'to deploy without a backup: add --skip-backup, which stands in the audit',
  'pre-migration': 'to deploy without a backup: add --skip-backup, which stands in the audit',
  safety: 'to restore without a snapshot of today: appliance backup restore ID --skip-safety',
};

/**
 * Steps of a backup whose errors say how what waits for the backup goes on without one (S1-11, S1-20): the backup may be the
 * one thing that is broken, and a deploy what repairs it.
 */
export function withWayOut<Args extends { readonly kind: BackupKind }>(step: StepType<Args>): StepType<Args> {
  return {
    ...step,
    bind(args) {
      const bound = step.bind(args);
      const { kind } = z.object({ kind: z.enum(backupKinds) }).parse(args);
      const apply = async (context: StepContext): Promise<string> => {
        try {
          return await bound.apply(context);
        } catch (thrown) {
          throw context.signal.aborted ? thrown : explained(asApplianceError(thrown), waysOut[kind]);
        }
      };
      return { ...bound, apply };
    },
  };
}

function explained(error: ApplianceError, way: string | undefined): ApplianceError {
  if (way === undefined) return error;
  return new ApplianceError(error.code, error.message, {
    left: error.left,
    hint: error.hint === undefined ? way : `${error.hint}; ${way}`,
    cause: error,
  });
}
