import { join } from 'node:path';
import { acquireExclusive, type Exclusive } from '../../host/exclusive.ts';
import { type Clock, systemClock, timestamp } from '../../lib/clock.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { processActor } from '../identity.ts';

/**
 * Keeps others from exchanging or removing the program of a prefix.
 * @param what for those who find it held, such as `appliance uninstall`
 * @throws ApplianceError `busy`
 */
export function holdProgram(prefix: string, what: string, clock: Clock = systemClock): Exclusive {
  const { user } = processActor();
  const since = timestamp(clock.now());
  const lock = acquireExclusive(join(prefix, 'update.lock'), { pid: process.pid, what, user, since });
  if ('release' in lock) return lock;
  const { heldBy } = lock;
  const who = heldBy
    ? `${heldBy.what} by ${heldBy.user} runs since ${heldBy.since} (process ${heldBy.pid})`
    : 'another appliance self-update or uninstall runs';
  throw new ApplianceError('busy', who, {
    left: 'it goes on; nothing was touched',
    hint: 'wait for its end, then say it again',
  });
}
