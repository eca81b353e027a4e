import type { ContainerDetail, Engine } from '../host/docker.ts';
import { ApplianceError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Operations } from './operations.ts';

/**
 * Starts containers that ran when the engine went away and do not run since it is back. An engine that was killed stops,
 * at its next start, what it finds alive, and takes that for a person's wish; `unless-stopped` then keeps it stopped,
 * even after a reboot (moby#41302). What a person has stopped before stays stopped, unless that was everything: then
 * nobody can tell it from an engine that was killed together with the agent, and `appliance down` says it clearly.
 */
export async function bringBack(
  { engine, operations, log }: { readonly engine: Engine; readonly operations: Operations; readonly log: Log },
  ids: readonly string[],
): Promise<void> {
  // An operation knows better what shall run: it finishes or takes back its own first.
  await operations.idle();
  const started: string[] = [];
  const start = async (id: string): Promise<void> => {
    const container = await engine.inspect(id);
    if (!container || container.running || isJob(container)) return;
    try {
      await engine.start(id);
      started.push(container.name);
    } catch (error) {
      if (!(error instanceof ApplianceError)) throw error;
      log.error({ container: container.name, error: error.message }, 'not started again after the engine came back');
    }
  };
  // All at once, as the engine does it: nothing is served until the last one runs.
  await Promise.all(ids.map(start));
  if (started.length > 0) log.warn({ containers: started }, 'started again what the engine had stopped');
}

/** A job may have done half of its work: only the operation that it belongs to can tell. */
function isJob({ labels }: ContainerDetail): boolean {
  return ['job', 'migrate'].includes(labels['appliance.role'] ?? '');
}
