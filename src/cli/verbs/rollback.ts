import { titleOf } from '../../api/describe.ts';
import { exitCodes } from '../../lib/errors.ts';
import type { Call } from '../catalog.ts';
import type { Session } from '../session.ts';
import { operate, waitOf } from './operate.ts';
import { isStrategy } from './operations.ts';
import { planLines } from './plan-text.ts';

export async function plan(call: Call<'plan'>, session: Session): Promise<number> {
  const { policy, strategy } = call.options;
  const plan = await (await session.client()).ask(
    'plan',
    {
      tag: call.args.tag,
      acceptMovedTag: call.options['accept-moved-tag'],
      ...(policy === undefined ? {} : { policy }),
      ...(isStrategy(strategy) ? { strategy } : {}),
    },
    session.signal,
  );
  session.answer(plan, () => planLines(plan, session.out));
  return exitCodes.done;
}

export async function rollback(call: Call<'rollback'>, session: Session): Promise<number> {
  const { tag } = call.args;
  const target = tag === undefined ? {} : { tag };
  if (call.options.plan) {
    const plan = await (await session.client()).ask('planRollback', target, session.signal);
    session.answer(plan, () => planLines(plan, session.out));
    return exitCodes.done;
  }
  const { wait, detach } = call.options;
  return operate(session, {
    route: 'rollback',
    title: titleOf('rollback', tag ?? null),
    detach,
    input: { ...target, wait: waitOf(wait) },
  });
}
