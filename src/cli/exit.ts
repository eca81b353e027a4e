import { type ApplianceError, asApplianceError, exitCodes } from '../lib/errors.ts';
import { plainText } from '../lib/text.ts';
import type { Verdict } from '../lib/verdict.ts';
import { type Look, mark, speak } from './output/look.ts';

/** The one place that turns what went wrong into an exit status (CONTRACT, "Exit codes"). */
export function exitCodeOf(thrown: unknown): number {
  return asApplianceError(thrown).exit;
}

/** Exit status of a verdict: 0, 3 or 4. */
export function exitCodeOfVerdict(verdict: Verdict): number {
  return { pass: exitCodes.done, fail: exitCodes.verdictFail, inconclusive: exitCodes.verdictInconclusive }[verdict];
}

/** `{"error": …}` as `--json` prints it. */
export function errorDocument(thrown: unknown): object {
  return { error: asApplianceError(thrown).toBody() };
}

/** An error for people: what happened, what was left as it was, what to do next. */
export function errorLines(thrown: unknown, look: Look, verbose: boolean): string[] {
  const error = asApplianceError(thrown);
  // Messages may quote what a program wrote, in several lines and with escape sequences.
  const [message = '', ...quoted] = plainText(error.message).trimEnd().split('\n');
  return [
    `${mark(look, 'fail')} ${speak(look, message)}`,
    ...quoted.map((line) => `    ${line}`),
    ...(error.left === undefined ? [] : [`  ${speak(look, error.left)}`]),
    ...(error.hint === undefined ? [] : [`  ${speak(look, `→ ${error.hint}`)}`]),
    ...(verbose ? detailsOf(error) : []),
  ];
}

function detailsOf(error: ApplianceError): string[] {
  const origin = error.cause instanceof Error ? error.cause : error;
  return [`  code: ${error.code}`, ...(origin.stack ?? '').split('\n').map((line) => `  ${line}`)];
}
