import { stageOf } from '../../api/describe.ts';
import type { OperationResult, Rollout } from '../../api/schema.ts';
import { ApplianceError, exitCodes } from '../../lib/errors.ts';
import type { Call } from '../catalog.ts';
import { mark, speak } from '../output/look.ts';
import type { Session } from '../session.ts';

export async function pause(_: Call<'pause'>, session: Session): Promise<number> {
  const rollout = await (await session.client()).ask('pause', {}, session.signal);
  return say(
    session,
    rollout,
    `is paused at ${stageOf(rollout)}; traffic stays so until appliance resume, promote or abort`,
  );
}

export async function resume(_: Call<'resume'>, session: Session): Promise<number> {
  const rollout = await (await session.client()).ask('resume', {}, session.signal);
  return say(session, rollout, `goes on at ${stageOf(rollout)}, policy ${rollout.policy}`);
}

export async function promote(call: Call<'promote'>, session: Session): Promise<number> {
  const { all } = call.options;
  const rollout = await (await session.client()).ask('promote', { all }, session.signal);
  const passed = all ? 'every stage that is left is passed' : `${stageOf(rollout)} is passed, the next one begins`;
  return say(session, rollout, `${passed}; appliance status shows how far it is`);
}

/** Takes a rollout back and waits until the release before it is proven. */
export async function abort(call: Call<'abort'>, session: Session): Promise<number> {
  const client = await session.client();
  const { operation } = await client.ask('abort', {}, session.signal);
  if (call.options.detach) {
    session.answer({ operation }, () => [`being taken back; follow it with: appliance follow ${operation}`]);
    return exitCodes.done;
  }
  for await (const event of client.stream('follow', { operation }, session.signal))
    if (event.event === 'operation-ended') return ended(session, event.result);
  throw new ApplianceError('agent_unreachable', 'the agent went away before the rollout was taken back', {
    left: 'the next agent takes it back',
    hint: 'appliance status shows how things are',
  });
}

function ended(session: Session, result: OperationResult): number {
  if (result.result === 'manual') {
    throw ApplianceError.fromBody({
      code: 'manual_intervention',
      message: result.error?.message ?? 'a person must decide',
      left: result.error?.left,
      hint: result.error?.hint,
      exit: exitCodes.manual,
    });
  }
  if (result.result === 'done') {
    throw new ApplianceError('rollout_not_found', `the rollout of ${result.to} had ended before; it is live`, {
      left: 'nothing was touched',
      hint: 'appliance rollback goes back from it',
    });
  }
  session.answer(result, () => [
    `${mark(session.out, 'pass')} ${speak(session.out, `${result.to} was taken back; ${result.from ?? 'the release before it'} has all of the traffic`)}`,
  ]);
  return exitCodes.done;
}

/** What a wish has changed: the last look at the stage, which the rollout still shows, is from before. */
function say(session: Session, rollout: Rollout, what: string): number {
  session.answer(rollout, () => [speak(session.out, `${rollout.to}: ${what}`)]);
  return exitCodes.done;
}
