import { ApplianceError } from '../../lib/errors.ts';
import { didYouMean } from '../../lib/near.ts';
import { specOf, type VerbName, verbNames } from '../catalog.ts';
import { isVerb, verbsOf } from '../verb-finder.ts';

/** What a key may do. */
export interface Allowed {
  readonly verbs: ReadonlySet<VerbName>;
  /** Those that stand on the list with their whole name. */
  readonly byName: ReadonlySet<VerbName>;
  /** No list was given: requests that only operators may make are refused, whatever verb makes them. */
  readonly viewer: boolean;
}

/**
 * What the lists of `--allow` let through.
 * @param lists each with commas between; none: what changes nothing
 * @throws ApplianceError `usage` for a word that is no verb, or a verb that nobody may have through the gate: a list with a
 *   mistake in it allows nothing
 */
export function allowedBy(lists: readonly string[]): Allowed {
  if (lists.length === 0) {
    return { verbs: new Set(verbNames.filter((name) => gateOf(name) === 'look')), byName: new Set(), viewer: true };
  }
  const words = lists.flatMap((list) => list.split(',')).map((word) => word.trim().replace(/\s+/g, ' '));
  for (const word of words) assertCanBeAllowed(word);
  const byName = new Set(words.filter(isVerb));
  const below = words.flatMap(verbsOf).filter((name) => ['look', 'act'].includes(gateOf(name)));
  return { verbs: new Set([...byName, ...below]), byName, viewer: false };
}

function assertCanBeAllowed(word: string): void {
  if (isVerb(word) && gateOf(word) === 'never') {
    throw mistake(`${word} cannot be allowed to a key`, 'take it off the list');
  }
  if (isVerb(word) || verbsOf(word).length > 0) return;
  const heads = verbNames.map((name) => name.split(' ')[0] ?? name);
  const known = [...verbNames, ...heads].filter((name) => !isVerb(name) || gateOf(name) !== 'never');
  throw mistake(
    word === '' ? 'the list of --allow has a gap in it' : `--allow names "${word}", which is no verb`,
    (word === '' ? undefined : didYouMean(word, known)) ?? 'appliance --help lists the verbs',
  );
}

function gateOf(name: VerbName) {
  return specOf(name).gate;
}

function mistake(message: string, hint: string): ApplianceError {
  return new ApplianceError('usage', message, { left: 'nothing is allowed until that is right', hint });
}
