import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { InstalledProgram } from '../../host/installation.ts';
import { pathsFor } from '../../lib/paths.ts';
import { takeWriterLock } from '../in-process.ts';
import { linked, nameOf, ownProgram, switchLink } from './program.ts';
import { type Change, copyOf, restoreState, writtenSince } from './state-copy.ts';

/** Milliseconds that going back waits for a command that writes. */
const lockWait = 20_000;

const trialOf = (prefix: string): string => join(prefix, 'trial');

/**
 * Prepares the way back: from now on each start of an agent looks whether to take it (packaging/trial.sh), whatever
 * becomes of this process.
 * @param from the program to go back to
 * @param now at the next start of an agent, instead of after several of a new program that does not live; `asked`: only
 *   when nothing is lost by it
 */
export function arm({ prefix, runs }: InstalledProgram, from: string, now?: 'asked' | 'failed'): void {
  const trial = trialOf(prefix);
  const fresh = `${trial}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh);
  writeFileSync(join(fresh, 'from'), `${from}\n`);
  writeFileSync(join(fresh, 'by'), `${runs}\n`);
  if (now) writeFileSync(join(fresh, 'now'), now);
  // The commands of the program that is known to live.
  const commands = existsSync(join(trial, 'bin')) ? join(trial, 'bin') : join(prefix, 'bin');
  cpSync(commands, join(fresh, 'bin'), { recursive: true });
  copyFileSync(join(prefix, runs, 'packaging', 'trial.sh'), join(fresh, 'guard'));
  disarm(prefix);
  renameSync(fresh, trial);
}

/** The new program has proven itself, or the old one runs: there is nothing to go back to any more. */
export function disarm(prefix: string): void {
  const trial = trialOf(prefix);
  const ended = `${trial}.ended`;
  rmSync(ended, { recursive: true, force: true });
  // In one rename: half of it would still be looked at.
  if (existsSync(trial)) renameSync(trial, ended);
  rmSync(ended, { recursive: true, force: true });
}

/** The program that an update on trial goes back to. @returns undefined when none is on trial */
export function onTrial(prefix: string): { readonly from: string; readonly asked: boolean } | undefined {
  const [from, now] = ['from', 'now'].map((name) => join(trialOf(prefix), name)).map(textOf);
  return from === undefined ? undefined : { from, asked: now === 'asked' };
}

const textOf = (file: string): string | undefined => (existsSync(file) ? readFileSync(file, 'utf8').trim() : undefined);

/**
 * Goes back to the program before: its state, its commands, the link. No agent may run. It may be killed at any point, and
 * is then done again at the next start of an agent.
 * @throws ApplianceError `busy` when another process goes on writing
 */
export async function takeBack({ root }: { readonly root: string | undefined }): Promise<void> {
  const { prefix } = ownProgram();
  const trial = onTrial(prefix);
  if (!trial) return;
  const left = linked(prefix, 'program');
  if (left !== undefined && left !== trial.from) {
    const given = await giveStateBack(root, { by: nameOf(left), before: nameOf(trial.from) }, trial.asked);
    if (!given) return disarm(prefix);
    restoreCommands(prefix);
    // First: the program that is started next looks which ran before it.
    if (trial.asked) switchLink(prefix, 'previous', left);
    switchLink(prefix, 'program', trial.from);
  }
  disarm(prefix);
}

/** @param careful not when anything was written since @returns false when it was */
async function giveStateBack(root: string | undefined, change: Change, careful: boolean): Promise<boolean> {
  const paths = pathsFor(root);
  if (!existsSync(copyOf(paths, change))) return true;
  const lock = await takeWriterLock(paths, 'appliance self-update', lockWait);
  try {
    if (careful && writtenSince(paths, change).length > 0) return false;
    restoreState(paths, change);
    return true;
  } finally {
    lock.release();
  }
}

/** What the installer of the new program has written may be what does not work. */
export function restoreCommands(prefix: string): void {
  const from = join(trialOf(prefix), 'bin');
  if (!existsSync(from)) return;
  for (const name of readdirSync(from)) {
    const fresh = join(prefix, 'bin', `.${name}`);
    copyFileSync(join(from, name), fresh);
    renameSync(fresh, join(prefix, 'bin', name));
  }
}
