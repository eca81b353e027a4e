import type { Caller } from '../../api/handlers.ts';
import {
  type Evidence,
  type EvidenceName,
  type EvidenceTypes,
  type Seen,
  seen,
  unseen,
} from '../../capabilities/doctor/evidence.ts';
import { asApplianceError } from '../../lib/errors.ts';
import { formatDuration } from '../../lib/units.ts';

/** Milliseconds that one look may take; all of them are taken side by side. */
const usualPatience = 8_000;

/** How each piece of evidence is come by. It throws what kept it from looking. */
export type Gatherers = {
  readonly [Name in EvidenceName]: (signal: AbortSignal) => Promise<EvidenceTypes[Name]> | EvidenceTypes[Name];
};

/** Who asks, and where the work is done. */
export interface Asker {
  /** Whether an agent runs, as whoever asks has found it. */
  readonly agent: EvidenceTypes['agent'];
  readonly configuration: EvidenceTypes['configuration'];
  readonly access: Caller['access'];
}

/**
 * Looks at what is wanted, everything side by side and each with a deadline: what hangs or fails keeps nothing else from
 * being seen.
 * @param wanted what is not named is unseen
 * @param patience milliseconds that one look may take
 * @throws the reason of the signal when it aborts
 */
export async function gather(
  gatherers: Gatherers,
  wanted: Iterable<EvidenceName>,
  signal: AbortSignal,
  patience = usualPatience,
): Promise<Evidence> {
  const found = new Map<EvidenceName, Seen<unknown>>();
  await Promise.all(
    [...new Set(wanted)].map(async (name) => found.set(name, await look(gatherers, name, signal, patience))),
  );
  signal.throwIfAborted();
  const pick = <Name extends EvidenceName>(name: Name): Evidence[Name] =>
    (found.get(name) ?? unseen('nobody asked for it')) as Evidence[Name];
  const names = Object.keys(gatherers) as EvidenceName[];
  return Object.fromEntries(names.map((name) => [name, pick(name)])) as unknown as Evidence;
}

async function look(
  gatherers: Gatherers,
  name: EvidenceName,
  signal: AbortSignal,
  patience: number,
): Promise<Seen<unknown>> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error(`no answer within ${formatDuration(patience)}`)), patience);
  const both = AbortSignal.any([signal, late.signal]);
  const overdue = new Promise<never>((_, reject) => {
    both.addEventListener('abort', () => reject(both.reason), { once: true });
  });
  overdue.catch(() => undefined);
  try {
    return seen(await Promise.race([(async () => gatherers[name](both))(), overdue]));
  } catch (error) {
    return unseen(asApplianceError(error).message);
  } finally {
    clearTimeout(timer);
  }
}
