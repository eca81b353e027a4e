import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Updated } from '../../api/update.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { answering, assertIdle, proven, restart } from './agent-process.ts';
import { linked, nameOf } from './program.ts';
import { returnTo } from './settle.ts';
import { type Change, copyOf, writtenSince } from './state-copy.ts';
import { arm, takeBack } from './trial.ts';
import { agentExpected, answerWithin, note, result, type Update, versionNamed, versionOf } from './update.ts';

/**
 * Puts the program before this one in force, and comes forward again when its agent does not answer.
 * @throws ApplianceError `usage` where there is none, `busy`, `operation_failed`, `manual_intervention`
 */
export async function goBack(update: Update): Promise<Updated> {
  const { options, installation: found, paths } = update;
  const { prefix, runs: from } = found;
  const to = linked(prefix, 'previous');
  if (to === undefined || to === from || !existsSync(join(prefix, to, 'dist')))
    throw new ApplianceError('usage', 'there is no program before this one', {
      left: 'nothing was touched',
      hint: 'bring the version that you want: appliance self-update SOURCE --allow-older',
    });
  const change = { by: nameOf(from), before: nameOf(to) };
  const restores = existsSync(copyOf(paths, change));
  if (restores) assertNothingWritten(update, change);
  if (options.plan) {
    const steps = [
      `switch ${prefix}/program to ${to}`,
      ...(restores ? [`restore the state of before ${versionNamed(from)}; nothing was written since`] : []),
      ...(agentExpected(update) ? ['restart the agent'] : []),
    ];
    return result(update, 'planned', versionOf(update, to), await answering(update), steps);
  }
  await assertIdle(update, options.wait, options.signal);
  options.signal.throwIfAborted();
  arm(found, to, 'asked');
  options.onProgress(`going back to ${versionNamed(to)}`);
  if (agentExpected(update)) await restart(update, from);
  else await takeBack(options);
  const answer = agentExpected(update) ? await proven(update, to, answerWithin) : undefined;
  if (linked(prefix, 'program') !== to || (agentExpected(update) && !answer)) throw await stayed(update, from, to);
  await note(update, from, to, 'done');
  return result(update, 'done', versionOf(update, to), answer);
}

/** Comes forward again. @returns why */
async function stayed(update: Update, from: string, to: string): Promise<ApplianceError> {
  const words = update.lastWords();
  const refused = linked(update.installation.prefix, 'program') === from;
  await returnTo(update, from);
  const why = refused
    ? `${versionNamed(to)} was not put in force: something was written meanwhile`
    : [`the agent of ${versionNamed(to)} did not answer`, ...words].join('\n');
  return new ApplianceError('operation_failed', why, {
    left: `${versionNamed(from)} runs again; containers and the edge were not touched`,
    hint: refused
      ? 'say it again: it tells what was'
      : 'it may not know what the newer version has written; stay with that one',
  });
}

/** @throws ApplianceError `manual_intervention` when going back would lose what was written since the update */
function assertNothingWritten({ paths, installation: { prefix } }: Update, change: Change): void {
  const tables = writtenSince(paths, change);
  if (tables.length === 0) return;
  const copy = copyOf(paths, change);
  throw new ApplianceError(
    'manual_intervention',
    `${versionNamed(change.before)} cannot read the state that ${versionNamed(change.by)} has brought up to date, and the copy from before lacks what was written since (${tables.join(', ')})`,
    {
      left: `nothing was touched; ${versionNamed(change.by)} runs on`,
      hint: `stay with it; or, to lose that: ${prefix}/bin/appliance-service stop && rm -f ${paths.state}-wal ${paths.state}-shm && mv ${copy} ${paths.state} && ${prefix}/bin/appliance self-update --back`,
    },
  );
}
