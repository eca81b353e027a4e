import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { ApplianceError, asApplianceError } from '../../lib/errors.ts';
import { type Answer, answering, proven, restart, stop } from './agent-process.ts';
import { linked } from './program.ts';
import { arm, disarm, onTrial, restoreCommands, takeBack } from './trial.ts';
import { agentExpected, answerWithin, note, type Update, versionNamed } from './update.ts';

interface Exchange {
  readonly from: string;
  readonly to: string;
  /** Why the new program is not to be tried. */
  readonly failure?: string | undefined;
}

/**
 * Proves that the agent of the new program answers, or goes back.
 * @returns its answer; undefined where no agent is configured
 * @throws ApplianceError `operation_failed`, `manual_intervention`, `interrupted`
 */
export async function settle(update: Update, exchange: Exchange): Promise<Answer | undefined> {
  const { from, to, failure } = exchange;
  const { prefix } = update.installation;
  const { signal } = update.options;
  if (failure === undefined && linked(prefix, 'program') === to) {
    if (!agentExpected(update)) {
      disarm(prefix);
      return undefined;
    }
    update.options.onProgress('proving that the new agent answers');
    const answer = await afterRestart(update, to);
    if (answer) {
      disarm(prefix);
      return answer;
    }
  }
  const switched = linked(prefix, 'program') === to || onTrial(prefix) === undefined;
  const words = update.lastWords();
  await returnTo(update, from);
  const why = failure ?? ['its agent did not answer', ...words].join('\n');
  if (switched) await note(update, from, to, 'taken back');
  throw new ApplianceError(
    signal.aborted ? asApplianceError(signal.reason).code : 'operation_failed',
    `${versionNamed(to)} was not put in force: ${why}`,
    {
      left: `${versionNamed(from)} ${switched ? 'was put back and runs again' : 'runs on'}; containers and the edge were not touched`,
      hint: `the whole story: ${join(update.paths.log, 'install.log')} and agent.log beside it`,
    },
  );
}

/** An agent that was running before is restarted. */
async function afterRestart(update: Update, program: string): Promise<Answer | undefined> {
  if ((await answering(update))?.program !== program) await restart(update, program);
  return proven(update, program, answerWithin);
}

/**
 * Makes a program the one that runs, whatever is in force now.
 * @throws ApplianceError `manual_intervention`
 */
export async function returnTo(update: Update, program: string): Promise<void> {
  const { installation: found, options } = update;
  const { prefix } = found;
  const expected = agentExpected(update);
  if (linked(prefix, 'program') !== program) {
    options.onProgress(`going back to ${versionNamed(program)}`);
    arm(found, program, 'failed');
    restoreCommands(prefix);
    if (expected) await restart(update, program);
  }
  // The way by the start of an agent is the one that a kill does not cut; where none can be started, this one is left.
  if (linked(prefix, 'program') !== program) {
    if (expected) await stop(update, program);
    await takeBack(options);
  }
  if (linked(prefix, 'previous') === program) rmSync(join(prefix, 'previous'), { force: true });
  if (expected && !(await afterRestart(update, program)))
    throw new ApplianceError(
      'manual_intervention',
      `${versionNamed(program)} was put back, but its agent does not answer\n${update.lastWords().join('\n')}`,
      {
        left: 'containers and the edge were not touched, they go on serving',
        hint: `${prefix}/bin/appliance-service restart; ${prefix}/bin/appliance agent --foreground shows why it does not start`,
      },
    );
  disarm(prefix);
}
