import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { ApplianceError } from '../lib/errors.ts';
import type { Session } from './session.ts';

/**
 * Lets a person confirm something that cannot be undone, by typing a name.
 * @param warning what is going to happen
 * @throws ApplianceError `confirmation_needed` when there is no terminal to ask on, or something else was typed
 */
export async function confirmByName(session: Session, name: string, warning: string): Promise<void> {
  if (session.globals.yes) return;
  const { stdin, stderr } = session.world;
  if (stdin.isTTY !== true || stderr.isTTY !== true) {
    throw new ApplianceError('confirmation_needed', 'this needs a confirmation, and there is no terminal to ask on', {
      left: 'nothing was touched',
      hint: 'add --yes if you mean it',
    });
  }
  stderr.write(`${warning}\n`);
  const answer = await ask(session, `Type ${name} to go on: `);
  if (answer === undefined) {
    session.signal.throwIfAborted();
    throw new ApplianceError('interrupted', 'interrupted', { left: 'nothing was touched' });
  }
  if (answer.trim() !== name) {
    throw new ApplianceError('confirmation_needed', 'that is not the name', { left: 'nothing was touched' });
  }
}

/** Whether somebody sits there who can be asked. */
export function canAsk({ world: { stdin, stderr }, globals: { json } }: Session): boolean {
  return stdin.isTTY === true && stderr.isTTY === true && !json;
}

/** @returns undefined when the person pressed Ctrl-C or Ctrl-D, or the time was up */
export async function ask(session: Session, question: string): Promise<string | undefined> {
  const line = createInterface({ input: session.world.stdin, output: process.stderr });
  const stop = () => line.close();
  session.signal.addEventListener('abort', stop, { once: true });
  try {
    return await new Promise((resolve) => {
      line.once('close', () => resolve(undefined));
      line.once('SIGINT', stop);
      line.question(question, resolve);
    });
  } finally {
    session.signal.removeEventListener('abort', stop);
    line.close();
  }
}

/** Longest line that is read from a pipe, in characters. */
const longestSecret = 4_096;

/**
 * Lets a person type a secret that does not show on the screen, or reads the first line of a pipe. It never stands in
 * the arguments, which others can see.
 * @throws ApplianceError `interrupted`; `usage` when nothing was typed
 */
export async function askSecret(session: Session, question: string): Promise<string> {
  const { stdin, stderr } = session.world;
  const typed = stdin.isTTY === true ? await askHidden(session, question) : await firstLine(stdin);
  if (typed === undefined) {
    session.signal.throwIfAborted();
    throw new ApplianceError('interrupted', 'interrupted', { left: 'nothing was touched' });
  }
  if (stdin.isTTY === true) stderr.write('\n');
  if (typed.trim() !== '') return typed;
  throw new ApplianceError('usage', 'nothing was typed', { left: 'nothing was touched' });
}

/** @returns undefined when the person pressed Ctrl-C or Ctrl-D, or the time was up */
async function askHidden(session: Session, question: string): Promise<string | undefined> {
  session.world.stderr.write(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const line = createInterface({ input: session.world.stdin, output: silent, terminal: true });
  const stop = () => line.close();
  session.signal.addEventListener('abort', stop, { once: true });
  try {
    return await new Promise((resolve) => {
      line.once('close', () => resolve(undefined));
      line.once('SIGINT', stop);
      line.once('line', resolve);
    });
  } finally {
    session.signal.removeEventListener('abort', stop);
    line.close();
  }
}

async function firstLine(stdin: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const chunk of stdin) {
    text += String(chunk);
    if (text.includes('\n') || text.length > longestSecret) break;
  }
  return text.split('\n', 1)[0] ?? '';
}
