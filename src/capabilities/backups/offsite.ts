import { z } from 'zod';
import { ApplianceError, asApplianceError } from '../../lib/errors.ts';
import { count } from '../../lib/text.ts';
import { defineStep } from '../../operations/step.ts';
import { mayForget } from './forget.ts';
import type { Repository } from './repository.ts';
import { retention } from './retention.ts';
import type { BackupStepDeps } from './step-deps.ts';

/**
 * Brings what is missing to each off-site target (S1-48). One that does not answer keeps no other from getting its copy; its
 * result is its own, and the next run sends all that it has missed. Copies are marked as their originals, and forgotten by
 * the same policy (S1-47).
 */
export function copyOffsite(deps: BackupStepDeps) {
  const { local, offsite, store, clock } = deps;
  const copyTo = async (target: Repository, signal: AbortSignal): Promise<string> => {
    await target.ensure(signal, { make: false, like: local });
    const { copied, snapshots } = await target.copyFrom(local, signal);
    const gone = mayForget(deps)
      ? retention(snapshots, deps.config.keep, clock.now()).filter(({ reasons }) => reasons.length === 0)
      : [];
    if (gone.length > 0) {
      await target.forgetAll(
        gone.map(({ snapshot }) => snapshot),
        signal,
      );
      await target.prune(signal);
    }
    return `${target.target.name}: ${count(copied, 'snapshot')} copied`;
  };
  return defineStep({
    action: 'copy-offsite',
    args: z.object({}),
    async apply(_args: Record<string, never>, context) {
      const done: string[] = [];
      const failed: ApplianceError[] = [];
      for (const target of offsite) {
        const { name } = target.target;
        context.progress(`copy to ${name}`);
        try {
          done.push(await copyTo(target, context.signal));
          store.target(name, clock.now());
        } catch (thrown) {
          context.signal.throwIfAborted();
          const error = asApplianceError(thrown);
          store.target(name, clock.now(), error.message);
          failed.push(error);
        }
      }
      const [first] = failed;
      if (!first) return done.join('; ') || 'there is no off-site target';
      throw new ApplianceError(first.code, failed.map(({ message }) => message).join('; '), {
        left: `the local snapshots are whole${done.length > 0 ? `; ${done.join('; ')}` : ''}`,
        hint: first.hint,
        cause: first,
      });
    },
  });
}
