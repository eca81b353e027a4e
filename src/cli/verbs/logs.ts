import { hueOf } from '../../api/describe.ts';
import type { LogLine } from '../../api/schema.ts';
import { ApplianceError, exitCodes, messageOf } from '../../lib/errors.ts';
import { pad, plainText } from '../../lib/text.ts';
import { durationPattern } from '../../lib/units.ts';
import type { Call } from '../catalog.ts';
import { type Look, paint, type Style } from '../output/look.ts';
import type { Session } from '../session.ts';

const palette: readonly Style[] = ['cyan', 'yellow', 'magenta', 'green', 'blue', 'red'];
/** Lines per container when nothing says how many. */
const defaultTail = 200;

export async function logs(call: Call<'logs'>, session: Session): Promise<number> {
  const { follow, since, grep, tail, timestamps } = call.options;
  const pattern = grep === undefined ? undefined : patternOf(grep);
  // Whoever searches wants to find: without a word about how far back, everything is looked through.
  const lines = pattern && tail === undefined ? undefined : tailOf(tail, since);
  const client = await session.client();
  const print = printer(session.out, timestamps);
  const stream = client.stream(
    'logs',
    {
      services: [...call.args.service],
      follow,
      ...(since === undefined ? {} : { since: checkedTime(since) }),
      ...(lines === undefined ? {} : { tail: lines }),
    },
    session.signal,
  );
  for await (const line of stream) {
    // Here and not in the agent: a pattern that takes for ever must only harm whoever wrote it.
    if (pattern && !pattern.test(line.text)) continue;
    if (session.globals.json) session.document(line);
    else session.print(print(line));
  }
  return stopped(session, follow);
}

/** Ctrl-C is how a person ends something that follows: no message, and the status that says so. */
export function stopped(session: Session, follow: boolean): number {
  if (session.signal.aborted && follow) return exitCodes.interrupted;
  session.signal.throwIfAborted();
  return exitCodes.done;
}

/** Lines from the end. @returns undefined for all of them @throws ApplianceError `usage` */
export function tailOf(option: string | undefined, since: string | undefined): number | undefined {
  if (option === undefined) return since === undefined ? defaultTail : undefined;
  if (option === 'all') return undefined;
  if (/^\d{1,9}$/.test(option)) return Number(option);
  throw new ApplianceError('usage', `--tail needs a number of lines or "all", not "${option}"`);
}

/** A point in time as the agent takes it. @throws ApplianceError `usage` */
export function checkedTime(text: string): string {
  if (durationPattern.test(text) || (/^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(Date.parse(text)))) return text;
  throw new ApplianceError('usage', `--since needs a duration or a time, not "${text}"`, {
    hint: 'for example 10m, or 2026-01-31T08:00:00Z',
  });
}

/** @throws ApplianceError `usage` when it is no regular expression */
function patternOf(text: string): RegExp {
  try {
    return new RegExp(text);
  } catch (error) {
    throw new ApplianceError('usage', `--grep: ${messageOf(error)}`);
  }
}

/** How lines of many services become one stream: each with its name, always in the same colour. */
export function printer(look: Look, timestamps: boolean): (line: LogLine) => string {
  let width = 8;
  return ({ service, colour, stream, text, time }) => {
    const name = colour === null ? service : `${service} ${colour}`;
    width = Math.max(width, name.length);
    const label = paint(
      look,
      palette[hueOf(service, palette.length)],
      `${pad(name, width)} ${stream === 'stderr' ? '!' : '|'}`,
    );
    const at = timestamps && time !== null ? `${paint(look, 'dim', time)} ` : '';
    return `${at}${label} ${look.terminal ? harmless(text, look.colour) : text}`;
  };
}

/** Colours of the program itself are kept where colours are shown; every other escape sequence is taken out. */
function harmless(text: string, keepColours: boolean): string {
  if (!keepColours) return plainText(text);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: looks for escape sequences
  const colours = /(\u001b\[[0-9;]*m)/;
  const parts = text.split(colours);
  return parts.length === 1
    ? plainText(text)
    : `${parts.map((part, index) => (index % 2 === 1 ? part : plainText(part))).join('')}\u001b[0m`;
}
