import { open, rm } from 'node:fs/promises';
import { ApplianceError, messageOf, systemCode } from '../../lib/errors.ts';
import { count } from '../../lib/text.ts';
import type { LogEntry, State } from '../state.ts';
import { LogFilter, lastVisible, wantedOf } from './filter.ts';

/** Bytes that a terminal takes for its clipboard; many take no more than 74,994 of base64. */
const mostCopied = 56_000;
/** Lines that are copied when nothing is frozen: about what is on a large screen. */
const copied = 100;

function matchingLines({ view, logs }: State): readonly LogEntry[] {
  return new LogFilter().matching(view.logs.frozen ?? logs, wantedOf({ ...view, typing: undefined }));
}

function written({ time, label, text }: LogEntry): string {
  return `${time === null ? '' : `${time} `}${label} ${text}\n`;
}

/**
 * Saves the lines that match to a file that must not exist yet, readable by its owner alone.
 * @returns what to say
 * @throws ApplianceError `usage` for a file that exists or a place that cannot be written to
 */
export async function saveLines(path: string, state: State): Promise<string> {
  if (path === '') throw new ApplianceError('usage', 'no file was named; nothing was saved');
  const lines = matchingLines(state);
  const file = await open(path, 'wx', 0o600).catch((error: unknown) => {
    const taken = systemCode(error) === 'EEXIST';
    throw new ApplianceError(
      'usage',
      taken ? `${path} exists already` : `${path} cannot be written: ${messageOf(error)}`,
      {
        left: 'nothing was saved',
        hint: 'o asks for another name',
        cause: error,
      },
    );
  });
  try {
    await file.writeFile(lines.map(written).join(''));
    await file.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw new ApplianceError('usage', `${path} could not be written: ${messageOf(error)}`, {
      left: 'the half of it that was written is removed',
      cause: error,
    });
  } finally {
    await file.close();
  }
  return `${count(lines.length, 'line')} saved to ${path}`;
}

/**
 * Puts lines into the clipboard of the person's own terminal, also over SSH (OSC 52).
 * @returns what to say
 */
export function copyLines(state: State, write: (text: string) => void): string {
  const matching = matchingLines(state);
  const last = lastVisible(matching, state.view.logs.anchor, 1);
  const chosen: string[] = [];
  let bytes = 0;
  for (let index = last; index >= 0 && chosen.length < copied; index -= 1) {
    const entry = matching[index];
    if (!entry) break;
    const line = written(entry);
    bytes += Buffer.byteLength(line);
    if (bytes > mostCopied) break;
    chosen.unshift(line);
  }
  write(`\u001b]52;c;${Buffer.from(chosen.join('')).toString('base64')}\u0007`);
  return `${count(chosen.length, 'line')} up to the last one on the screen copied, if your terminal allows it (OSC 52)`;
}
