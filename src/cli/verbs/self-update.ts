import { seconds } from '../../api/describe.ts';
import type { Updated } from '../../api/update.ts';
import { ApplianceError, exitCodes } from '../../lib/errors.ts';
import type { Call } from '../catalog.ts';
import { mark } from '../output/look.ts';
import type { Session } from '../session.ts';
import { waitOf } from './operate.ts';

export async function selfUpdate(call: Call<'self-update'>, session: Session): Promise<number> {
  const { source } = call.args;
  const { back = false, plan = false, 'allow-older': allowOlder = false, wait } = call.options;
  if (back === (source !== undefined))
    throw new ApplianceError('usage', back ? '--back goes without a source' : 'the source is missing', {
      left: 'nothing was touched',
      hint: 'appliance self-update SOURCE, or appliance self-update --back',
    });
  // A lost connection must not leave half an update.
  session.keepGoingWithoutOutput();
  const updated = await session.wiring.selfUpdate({
    root: session.globals.root,
    source,
    plan,
    allowOlder,
    wait: waitOf(wait),
    signal: session.signal,
    onProgress: (text) => session.note(text),
  });
  session.answer(updated, () => lines(updated, session));
  return exitCodes.done;
}

function lines({ result, from, to, agent, steps, seconds: took }: Updated, session: Session): string[] {
  const good = mark(session.out, 'pass');
  const answers = agent ? `its agent answers (process ${agent.pid})` : 'no agent runs';
  if (result === 'nothing') return [`${good} nothing to do: ${to.program} runs; ${answers}`];
  if (result === 'planned')
    return [`${from.program} → ${to.program}`, ...steps.map((step) => `  - ${step}`), 'Nothing was changed (--plan).'];
  return [
    `${good} ${from.version} → ${to.version} in ${seconds(took)}; ${answers}`,
    '  to go back: appliance self-update --back',
  ];
}
