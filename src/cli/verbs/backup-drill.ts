import type { Call } from '../catalog.ts';
import type { Session } from '../session.ts';
import { operate, waitOf } from './operate.ts';

/** Restores a snapshot where it can do no harm, and says what came out. */
export async function drill(call: Call<'backup drill'>, session: Session): Promise<number> {
  const { deep, detach, wait } = call.options;
  const { snapshot = 'latest' } = call.args;
  return operate(session, {
    route: 'backupDrill',
    title: `backup drill ${snapshot}`,
    detach,
    input: { snapshot, deep, wait: waitOf(wait) },
  });
}
