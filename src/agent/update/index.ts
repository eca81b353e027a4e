import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Updated, UpdateOptions } from '../../api/update.ts';
import { type Clock, systemClock } from '../../lib/clock.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { pathsFor } from '../../lib/paths.ts';
import { answering, restart, watchLogs } from './agent-process.ts';
import { goBack } from './back.ts';
import { goTo } from './forward.ts';
import { holdProgram } from './lock.ts';
import { linked, ownProgram } from './program.ts';
import { settle } from './settle.ts';
import { sweep, withSource } from './source.ts';
import { disarm, onTrial } from './trial.ts';
import { agentExpected, type Update } from './update.ts';

/**
 * Puts another version of this appliance in force: lets its own installer build it and lay it beside this one, restarts the
 * agent with it, and goes back when that does not answer. Containers and the edge are not touched. This process goes on
 * running the program that it began with, which stays until the next update.
 * @throws ApplianceError `usage` for what is no newer appliance; `busy`; `not_permitted` without the rights of root;
 *   `operation_failed` when it was taken back; `manual_intervention` when no agent answers any more, or what was written since
 *   would be lost by going back
 */
export async function selfUpdate(options: UpdateOptions, clock: Clock = systemClock): Promise<Updated> {
  if (process.geteuid?.() !== 0)
    throw new ApplianceError('not_permitted', 'an update needs root', {
      left: 'nothing was touched',
      hint: 'use sudo',
    });
  const paths = pathsFor(options.root);
  const found = ownProgram();
  assertRoot(found.prefix, options.root);
  const lock = holdProgram(found.prefix, 'appliance self-update', clock);
  try {
    const lastWords = watchLogs(paths);
    const update: Update = { installation: found, paths, clock, options, begun: clock.monotonic(), lastWords };
    if (linked(found.prefix, 'program') !== found.runs) throw exchanged();
    if (!options.plan) await finishOpen(update);
    await sweep(found.prefix);
    if (options.source === undefined) return await goBack(update);
    return await withSource(options.source, found.prefix, options.signal, (source) => goTo(update, source));
  } finally {
    lock.release();
  }
}

function assertRoot(prefix: string, root: string | undefined): void {
  const file = join(prefix, 'root');
  const own = existsSync(file) ? readFileSync(file, 'utf8').trim() : '';
  if (own === (root ?? '')) return;
  throw new ApplianceError(
    'usage',
    `the program in ${prefix} was installed for ${own || 'this host'}, not for ${root ?? 'this host'}`,
    {
      left: 'nothing was touched',
      hint: `use the command of that installation, without --root: ${prefix}/bin/appliance self-update`,
    },
  );
}

function exchanged(): ApplianceError {
  return new ApplianceError('busy', 'the program has just been exchanged by another update', {
    left: 'nothing was touched',
    hint: 'look at appliance version, then say it again',
  });
}

/** An update that was killed is finished or taken back before anything else is begun. */
async function finishOpen(update: Update): Promise<void> {
  const { prefix, runs } = update.installation;
  const trial = onTrial(prefix);
  if (!trial) return;
  update.options.onProgress('an earlier update was cut short: finishing it');
  if (trial.from !== runs) await settle(update, { from: trial.from, to: runs });
  else if (agentExpected(update) && !(await answering(update))) await restart(update, runs);
  disarm(prefix);
}
