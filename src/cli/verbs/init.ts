import { exitCodes } from '../../lib/errors.ts';
import type { Call } from '../catalog.ts';
import { mark, speak } from '../output/look.ts';
import type { Session } from '../session.ts';

export async function init(call: Call<'init'>, session: Session): Promise<number> {
  const { from, force, print } = call.options;
  const tools = await session.wiring.tools();
  const draft = await tools.draftConfig({ compose: from ?? '.' });
  if (print) {
    session.answer({ file: null, text: draft.text, notes: draft.notes }, () => [draft.text.trimEnd()]);
    return exitCodes.done;
  }
  const file = await tools.writeConfig({ root: session.globals.root, text: draft.text, force });
  session.answer({ file, text: draft.text, notes: draft.notes }, () => [
    `${mark(session.out, 'pass')} wrote ${file}`,
    ...draft.notes.map((note) => speak(session.out, `  • ${note}`)),
    speak(
      session.out,
      '  → look it over, then: appliance config check; /opt/appliance/bin/appliance-start (the agent); appliance plan <tag>',
    ),
  ]);
  return exitCodes.done;
}
