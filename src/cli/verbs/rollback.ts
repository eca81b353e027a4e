import { titleOf } from '../../api/describe.ts';
import { exitCodes } from '../../lib/errors.ts';
import type { Call } from '../catalog.ts';
import { confirmByName } from '../confirm.ts';
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
  const data = call.options['restore-data'];
  const target = {
    ...(tag === undefined ? {} : { tag }),
    ...(data === undefined ? {} : { restoreData: data === true ? 'newest' : data }),
  };
  if (call.options.plan) {
    const plan = await (await session.client()).ask('planRollback', target, session.signal);
    session.answer(plan, () => planLines(plan, session.out));
    return exitCodes.done;
  }
  const { wait, detach } = call.options;
  if (data !== undefined && !session.globals.yes) {
    const plan = await (await session.client()).ask('planRollback', target, session.signal);
    for (const line of planLines(plan, session.out)) session.note(line);
    const { name } = await (await session.client()).ask('ping', {}, session.signal);
    await confirmByName(session, name, 'What is listed above is replaced, and users wait meanwhile.');
  }
  return operate(session, {
    route: 'rollback',
    title: titleOf('rollback', tag ?? null),
    detach,
    input: { ...target, wait: waitOf(wait) },
  });
}
