import { ApplianceError, exitCodes } from '../../lib/errors.ts';
import type { Call } from '../catalog.ts';
import { confirmByName } from '../confirm.ts';
import type { Session } from '../session.ts';
import type { Uninstaller } from '../wiring.ts';

export async function uninstall(call: Call<'uninstall'>, session: Session): Promise<number> {
  const { purge } = call.options;
  const uninstaller = await session.wiring.uninstaller();
  const { prefix, root, name } = uninstaller;
  assertSameRoot(uninstaller, session.globals.root);
  if (!uninstaller.permitted) {
    throw new ApplianceError('not_permitted', 'to remove an appliance one must be root', {
      left: 'nothing was touched',
      hint: `sudo ${prefix}/bin/appliance uninstall${purge ? ' --purge' : ''}`,
    });
  }
  await assertIdle(session);
  await confirmByName(session, name ?? 'appliance', warning(uninstaller, purge));
  // From here on nothing can be asked of the program any more: it is being removed.
  session.keepGoingWithoutOutput();
  const { exitCode, said, kept } = await uninstaller.run({
    purge,
    progress: session.globals.quiet ? 'none' : session.globals.json ? 'stderr' : 'stdout',
    onError: (text) => session.world.stderr.write(text),
    signal: session.signal,
  });
  if (exitCode !== exitCodes.done) throw failure(exitCode, said, prefix, purge);
  session.answer({ result: 'done', prefix, root: root ?? null, purged: purge, kept }, () => []);
  return exitCodes.done;
}

function warning({ prefix, name }: Uninstaller, purge: boolean): string {
  const what = `This stops ${name ?? 'the appliance'} and all its containers and removes the program from ${prefix}.`;
  return purge
    ? `${what} ITS DATA GO TOO: configuration, state, backups that lie here, volumes, images.`
    : `${what} Configuration, state and volumes stay.`;
}

function assertSameRoot({ prefix, root }: Uninstaller, asked: string | undefined): void {
  if (asked === undefined || asked === root) return;
  throw new ApplianceError(
    'usage',
    `the program in ${prefix} was installed for ${root ?? 'the whole host'}, not for ${asked}`,
    {
      left: 'nothing was touched',
      hint: 'run the appliance of that root, or leave --root out (APPLIANCE_ROOT too)',
    },
  );
}

/** @throws ApplianceError `busy` while something is under way that would be cut off */
async function assertIdle(session: Session): Promise<void> {
  const agent = await session.agent();
  // An agent that cannot tell must not keep anybody from removing it.
  const status = await agent?.ask('status', {}, session.signal).catch(() => undefined);
  session.signal.throwIfAborted();
  const running = status?.operation;
  if (!running) return;
  throw new ApplianceError('busy', `${running.kind} by ${running.actor.user} is under way since ${running.startedAt}`, {
    left: 'it goes on; nothing was touched',
    hint: 'wait for its end: appliance follow; or call it off: appliance abort',
  });
}

function failure(exitCode: number | null, said: string, prefix: string, purge: boolean): ApplianceError {
  const [, message = 'the uninstallation stopped'] = /^install\.sh: (.*)$/m.exec(said) ?? [];
  return new ApplianceError(codeOf(exitCode), message, {
    left: 'what was removed so far stays removed, the rest is as it was',
    hint: `remove the cause and run it again: sudo ${prefix}/program/install.sh --uninstall${purge ? ' --purge' : ''}, or install.sh of a clone`,
  });
}

function codeOf(exitCode: number | null) {
  switch (exitCode) {
    case exitCodes.usage:
      return 'usage';
    case exitCodes.busy:
      return 'busy';
    case exitCodes.notPermitted:
      return 'not_permitted';
    case null:
    case 130:
    case 143:
      return 'interrupted';
    default:
      return 'uninstall_failed';
  }
}
