import type { Verdict } from '../../lib/verdict.ts';
import { type Evidence, type EvidenceName, type EvidenceTypes, evidenceTitles } from './evidence.ts';

/** How sure a diagnosis is: `certain` was seen itself, `likely` fits everything that was seen, `possible` is worth a look. */
export const confidences = ['certain', 'likely', 'possible'] as const;
type Confidence = (typeof confidences)[number];

/** One thing that was seen, and where. */
export interface Fact {
  readonly source: EvidenceName;
  readonly observed: string;
}

/** Something that a person, or `--fix`, can do. */
export interface Remedy {
  /** To be typed as it stands. */
  readonly command: string;
  readonly about: string;
  /** What `--fix` does instead of typing it; left out for what only a person may decide. */
  readonly fix?: Fix;
}

/**
 * What may be done without asking: it brings back what should be there, or does now what the clock would do; nothing is lost
 * by it, and done twice it does the same.
 */
export type Fix =
  | { readonly do: 'up' }
  | { readonly do: 'restart'; readonly service: string }
  | { readonly do: 'prune' }
  | { readonly do: 'run'; readonly job: string }
  | { readonly do: 'renew'; readonly set: string }
  | { readonly do: 'load-model'; readonly version: string };

export interface Cause {
  /** `service-stopped:backend-1`; the same cause has the same id in every symptom. */
  readonly id: string;
  readonly summary: string;
  readonly confidence: Confidence;
  readonly evidence: readonly Fact[];
  readonly remedies: readonly Remedy[];
}

/** What somebody notices, and what may be behind it. */
export interface Symptom {
  /** The word for the command line. */
  readonly name: string;
  readonly title: string;
  /** Other words for it. */
  readonly words: readonly string[];
  /** Demands that it answers, for example `S1-74`. */
  readonly requirement: readonly string[];
  /** What must be looked at before anything can be ruled out. */
  readonly looks: readonly EvidenceName[];
  /** What says more about a cause, and rules nothing out. */
  readonly aids?: readonly EvidenceName[];
  /** Why it cannot occur on this appliance; undefined when it can. */
  readonly absent?: (evidence: Evidence) => string | undefined;
  /** What is behind it, by what was seen. Pure. */
  readonly judge: (evidence: Evidence) => readonly Cause[];
  /** The way by hand, in its order, when nothing of it is found or nothing helps. */
  readonly byHand: readonly Remedy[];
}

/** What is behind a symptom, and what could not be looked at. */
export interface Diagnosis {
  readonly symptom: Symptom;
  readonly verdict: Verdict;
  readonly observed: string;
  /** Whether it cannot occur on this appliance. */
  readonly absent: boolean;
  /** The surest first. */
  readonly causes: readonly Cause[];
  readonly unknown: readonly { readonly what: string; readonly why: string }[];
}

/** Judges a symptom when its evidence is there. @returns what `judge` says, or nothing while it was not seen */
export function when<Name extends EvidenceName, T>(
  evidence: Evidence,
  name: Name,
  judge: (value: EvidenceTypes[Name]) => readonly T[],
): readonly T[] {
  const found = evidence[name];
  return found.known ? judge(found.value) : [];
}

/** A piece of evidence, or undefined where it could not be seen. */
export function shown<Name extends EvidenceName>(evidence: Evidence, name: Name): EvidenceTypes[Name] | undefined {
  const found = evidence[name];
  return found.known ? found.value : undefined;
}

export const fact = (source: EvidenceName, observed: string): Fact => ({ source, observed });

/** A remedy that a person decides about. */
export const advice = (command: string, about: string): Remedy => ({ command, about });

/**
 * What a symptom comes to. A cause that is certain or likely fails; without one, what could not be seen keeps it from being
 * well (DESIGN §1.4).
 */
export function diagnose(symptom: Symptom, evidence: Evidence): Diagnosis {
  const absent = symptom.absent?.(evidence);
  if (absent !== undefined)
    return { symptom, verdict: 'inconclusive', observed: absent, absent: true, causes: [], unknown: [] };
  const unknown = symptom.looks.flatMap((name) => {
    const found = evidence[name];
    return found.known ? [] : [{ what: evidenceTitles[name], why: found.why }];
  });
  const causes = ranked(symptom.judge(evidence));
  const [first] = causes;
  const said = (verdict: Verdict, observed: string): Diagnosis => ({
    symptom,
    verdict,
    observed,
    absent: false,
    causes,
    unknown,
  });
  if (first && first.confidence !== 'possible') return said('fail', first.summary);
  if (first) return said('inconclusive', `perhaps: ${first.summary}`);
  if (unknown[0]) return said('inconclusive', `${unknown[0].what} could not be looked at`);
  return said('pass', 'nothing of what was seen speaks for it');
}

/** The surest first; of equals the one that was named first. Each cause once. */
function ranked(causes: readonly Cause[]): Cause[] {
  const once = causes.filter(({ id }, index) => causes.findIndex((other) => other.id === id) === index);
  const rank = ({ confidence }: Cause) => confidences.indexOf(confidence);
  return once.toSorted((one, other) => rank(one) - rank(other));
}
