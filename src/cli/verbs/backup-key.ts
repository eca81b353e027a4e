import { ApplianceError, exitCodes } from '../../lib/errors.ts';
import type { Call } from '../catalog.ts';
import { askSecret } from '../confirm.ts';
import { mark, speak } from '../output/look.ts';
import type { Session } from '../session.ts';

/** Shows the key once, with the recovery sheet; `--prove` tries a typed key on the repository instead. */
export async function key(call: Call<'backup key'>, session: Session): Promise<number> {
  if (call.options.prove) return prove(session);
  const answer = await (await session.client()).ask('backupKey', {}, session.signal);
  session.answer(answer, () =>
    answer.key === null
      ? [
          answer.sheet,
          speak(session.out, `The key was shown at ${answer.shown ?? 'an earlier time'} and is not shown again.`),
          speak(
            session.out,
            `It is in ${answer.path}, for root alone. Prove the one that you have: appliance backup key --prove`,
          ),
        ]
      : [
          answer.sheet,
          speak(session.out, 'Print this and lock it away, apart from the backups. The key is not shown again.'),
        ],
  );
  return exitCodes.done;
}

async function prove(session: Session): Promise<number> {
  const typed = await askSecret(session, 'Key from the recovery sheet: ');
  const { opens } = await (await session.client()).ask('backupProve', { key: typed.trim() }, session.signal);
  if (!opens)
    throw new ApplianceError('backup_key', 'this key does not open the repository of backups', {
      left: 'nothing was touched',
      hint: 'compare it with the recovery sheet, letter by letter',
    });
  session.answer({ opens }, () => [`${mark(session.out, 'pass')} this key opens the repository of backups`]);
  return exitCodes.done;
}
