import { titleOf } from '../../api/describe.ts';
import { exitCodes } from '../../lib/errors.ts';
import type { Call } from '../catalog.ts';
import { confirmByName } from '../confirm.ts';
import type { Session } from '../session.ts';
import { operate, waitOf } from './operate.ts';
import { planLines } from './plan-text.ts';

export async function restore(call: Call<'backup restore'>, session: Session): Promise<number> {
  const { snapshot } = call.args;
  const { component, plan: only, detach, wait } = call.options;
  const wish = {
    snapshot,
    ...(isComponent(component) ? { component } : {}),
    skipSafety: call.options['skip-safety'],
  };
  const client = await session.client();
  // What is confirmed is what was shown, not whatever `latest` is by then.
  const ask = only || !session.globals.yes;
  const plan = ask ? await client.ask('planRestore', wish, session.signal) : undefined;
  if (plan && only) {
    session.answer(plan, () => planLines(plan, session.out));
    return exitCodes.done;
  }
  if (plan) {
    for (const line of planLines(plan, session.out)) session.note(line);
    const { name } = await client.ask('ping', {}, session.signal);
    await confirmByName(session, name, `What is listed above is replaced by snapshot ${plan.to}.`);
  }
  return operate(session, {
    route: 'backupRestore',
    title: titleOf('restore', plan?.to ?? snapshot),
    detach,
    input: { ...wish, snapshot: plan?.to ?? snapshot, wait: waitOf(wait) },
  });
}

const components = ['database', 'models', 'registry', 'config', 'all'] as const;
type Component = (typeof components)[number];

function isComponent(text: string | undefined): text is Component {
  return components.some((component) => component === text);
}
