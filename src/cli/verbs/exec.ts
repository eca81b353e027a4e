import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { ApplianceError, messageOf, systemCode } from '../../lib/errors.ts';
import type { Call } from '../catalog.ts';
import type { Session } from '../session.ts';
import { assertEngineAccess } from './engine-access.ts';

/**
 * Runs a command inside a service. The terminal is handed over to `docker exec`, which gets every word as an argument
 * of its own; no shell of this host sees any of them.
 */
export async function exec(call: Call<'exec'>, session: Session): Promise<number> {
  if (session.globals.json) {
    throw new ApplianceError('usage', 'exec hands the terminal to another program; it has no --json');
  }
  const target = await (await session.client()).ask('exec', { service: call.args.service }, session.signal);
  await assertEngineAccess(session.world.env.DOCKER_HOST);
  const interactive = session.world.stdin.isTTY === true && session.world.stdout.isTTY === true;
  // The terminal sends Ctrl-C to both of us; it is meant for the other one.
  session.handleInterrupt(() => undefined);
  const words = call.args.command.length === 0 ? ['sh'] : call.args.command;
  return runInTerminal('docker', execArguments(target.container, words, interactive), session.signal);
}

/** The argument array of `docker exec`. @param terminal whether a person sits in front of it */
export function execArguments(container: string, words: readonly string[], terminal: boolean): string[] {
  return ['exec', '--interactive', ...(terminal ? ['--tty'] : []), container, ...words];
}

/** Runs a program on this very terminal. @returns its exit status; 128 and the number of the signal that killed it */
function runInTerminal(program: string, args: readonly string[], signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: 'inherit' });
    const stop = () => child.kill('SIGTERM');
    signal.addEventListener('abort', stop, { once: true });
    child.once('error', (error) => {
      reject(
        systemCode(error) === 'ENOENT'
          ? new ApplianceError('engine_unreachable', `${program} is not installed`, { cause: error })
          : new ApplianceError('internal', `${program} could not be run: ${messageOf(error)}`, { cause: error }),
      );
    });
    child.once('exit', (code, killedBy) => {
      signal.removeEventListener('abort', stop);
      if (signal.aborted) reject(signal.reason);
      else resolve(code ?? 128 + (killedBy ? constants.signals[killedBy] : 0));
    });
  });
}
