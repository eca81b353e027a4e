import type { DoctorEvent, DoctorReport, FixShape, SymptomShape } from '../../api/doctor.ts';
import type { Caller, Handlers } from '../../api/handlers.ts';
import type { ApplianceEvent } from '../../api/schema.ts';
import { findSymptom, symptoms } from '../../capabilities/doctor/index.ts';
import {
  type Cause,
  confidences,
  type Diagnosis,
  diagnose,
  type Fix,
  type Remedy,
  type Symptom,
} from '../../capabilities/doctor/symptom.ts';
import { type Clock, timestamp } from '../../lib/clock.ts';
import { type ApplianceError, asApplianceError } from '../../lib/errors.ts';
import { Redactor } from '../../lib/redact.ts';
import { combine } from '../../lib/verdict.ts';
import type { Appliance } from '../appliance.ts';
import { once } from '../checks/parts.ts';
import { type Asker, type Gatherers, gather } from './gather.ts';
import { secretsOf } from './known-secrets.ts';
import { measureOf, modelEvidence } from './model-evidence.ts';
import { stackEvidence } from './stack-evidence.ts';
import { upkeepEvidence } from './upkeep-evidence.ts';

/** Fixes of one run: one that does not help is no reason to go on for ever. */
const mostFixes = 8;
/** Milliseconds in which a fix must show its effect, and between two looks. */
const settling = 15_000;
const settlingPause = 1_500;

export interface DoctorHost {
  readonly agent: { readonly running: boolean };
  readonly configProblem?: (() => ApplianceError | undefined) | undefined;
}

/** Diagnosis by symptom, and the safe ones of what it proposes (S1-74 to S1-78, S2-27). */
export function doctorHandlers(
  a: Appliance,
  host: DoctorHost,
  handlers: () => Handlers,
): Pick<Handlers, 'doctor' | 'doctorFix'> {
  const look = lookAt(a, host);
  const by = host.agent.running ? 'agent' : 'in-process';
  return {
    doctor: async function* ({ symptom, agentProblem }, caller) {
      const chosen = chosenSymptoms(symptom, a.clock.now());
      const began = a.clock.monotonic();
      const found = await look(chosen, caller.access, agentProblem, caller.signal);
      yield reportOf({ wanted: symptom, found, by, fixes: [], clock: a.clock, began });
    },
    doctorFix: async function* ({ symptom, wait }, caller) {
      const chosen = chosenSymptoms(symptom, a.clock.now());
      const began = a.clock.monotonic();
      const fixes: FixShape[] = [];
      const tried = new Set<string>();
      let found = await look(chosen, caller.access, null, caller.signal);
      for (let next = nextFix(found, tried); next && fixes.length < mostFixes; next = nextFix(found, tried)) {
        const { diagnosis, cause, remedy } = next;
        tried.add(remedy.command);
        yield { event: 'progress', text: `${cause.summary}: ${remedy.command}` };
        const at = a.clock.monotonic();
        const { result, did } = await carryOut(next.fix, handlers(), wait, caller);
        // Looked at again by whoever named it: what a fix has done is no proof that it helped.
        found = await settled(() => look(chosen, caller.access, null, caller.signal), a.clock, caller.signal);
        const fix: FixShape = {
          symptom: diagnosis.symptom.name,
          cause: cause.id,
          command: remedy.command,
          did,
          result,
          verified: stillThere(found, diagnosis.symptom, cause),
          seconds: Math.round(a.clock.monotonic() - at) / 1_000,
        };
        fixes.push(fix);
        a.audit.append(
          timestamp(a.clock.now()),
          caller.actor,
          'doctor fix',
          `${fix.cause}: ${fix.command}`,
          `${result}, ${fix.verified}`,
        );
        yield { event: 'progress', text: `${did}; the cause is ${fix.verified.replace('-', ' ')}` };
      }
      yield reportOf({ wanted: symptom, found, by, fixes, clock: a.clock, began });
    },
  };
}

/**
 * Looks until nothing is left to be seen of what was wrong, or it has had its time: processes take a moment to come up, and what
 * has not answered meanwhile is not known to be well.
 */
async function settled(
  look: () => Promise<Diagnosis[]>,
  clock: Pick<Clock, 'monotonic' | 'sleep'>,
  signal: AbortSignal,
): Promise<Diagnosis[]> {
  const until = clock.monotonic() + settling;
  for (;;) {
    const found = await look();
    if (found.every(({ causes, unknown }) => causes.length + unknown.length === 0) || clock.monotonic() >= until)
      return found;
    await clock.sleep(settlingPause, signal);
  }
}

/** @throws ApplianceError `usage` for a symptom that nobody knows */
export function chosenSymptoms(wanted: string | undefined, now: number): readonly Symptom[] {
  const all = symptoms(now);
  return wanted === undefined ? all : [findSymptom(wanted, all)];
}

type Look = (
  chosen: readonly Symptom[],
  access: Caller['access'],
  agentProblem: string | null,
  signal: AbortSignal,
) => Promise<Diagnosis[]>;

function lookAt(a: Appliance, host: DoctorHost): Look {
  return async (chosen, access, agentProblem, signal) => {
    const problem = host.configProblem?.();
    const asker: Asker = {
      agent: { running: host.agent.running, problem: agentProblem },
      configuration: { problem: problem?.message ?? null, hint: problem?.hint ?? null },
      access,
    };
    const redactor = once(async () => new Redactor((await secretsOf(a.paths, a.config)).forms));
    const gatherers: Gatherers = {
      agent: () => asker.agent,
      configuration: () => asker.configuration,
      ...stackEvidence(a, redactor),
      ...modelEvidence(a, asker, measureOf(a)),
      ...upkeepEvidence(a),
    };
    return diagnoseAll(chosen, gatherers, signal);
  };
}

/** Gathers what the symptoms look at, and judges them. */
export async function diagnoseAll(
  chosen: readonly Symptom[],
  gatherers: Gatherers,
  signal: AbortSignal,
): Promise<Diagnosis[]> {
  const evidence = await gather(
    gatherers,
    chosen.flatMap(({ looks, aids = [] }) => [...looks, ...aids]),
    signal,
  );
  return chosen.map((symptom) => diagnose(symptom, evidence));
}

interface NextFix {
  readonly diagnosis: Diagnosis;
  readonly cause: Cause;
  readonly remedy: Remedy;
  readonly fix: Fix;
}

/** What is tried next: the surest cause first, each command once. What is only possible is left to people. */
function nextFix(found: readonly Diagnosis[], tried: ReadonlySet<string>): NextFix | undefined {
  for (const confidence of confidences.filter((one) => one !== 'possible'))
    for (const diagnosis of found)
      for (const cause of diagnosis.causes.filter((one) => one.confidence === confidence))
        for (const remedy of cause.remedies)
          if (remedy.fix && !tried.has(remedy.command)) return { diagnosis, cause, remedy, fix: remedy.fix };
  return undefined;
}

function stillThere(found: readonly Diagnosis[], symptom: Symptom, { id }: Cause): FixShape['verified'] {
  const now = found.find((one) => one.symptom.name === symptom.name);
  if (now?.causes.some((cause) => cause.id === id)) return 'still-there';
  return now === undefined || now.unknown.length > 0 ? 'unknown' : 'gone';
}

/** Runs a fix as the operation that its command is: with a journal, under the lock, in the audit. */
async function carryOut(
  fix: Fix,
  handlers: Handlers,
  wait: number,
  caller: Caller,
): Promise<Pick<FixShape, 'did' | 'result'>> {
  try {
    let last: ApplianceEvent | undefined;
    for await (const event of eventsOf(fix, handlers, wait, caller)) last = event;
    if (last?.event !== 'operation-ended') return { result: 'failed', did: 'it goes on: appliance operations' };
    const { kind, result, error, steps, operation } = last.result;
    const done = result === 'done';
    const why = error ? `: ${error.message}` : '';
    return {
      result: done ? 'done' : 'failed',
      did: `${kind} ${operation} is ${result} after ${steps.length} steps${why}`,
    };
  } catch (error) {
    caller.signal.throwIfAborted();
    const { message, hint } = asApplianceError(error);
    return { result: 'failed', did: hint === undefined ? message : `${message} (${hint})` };
  }
}

function eventsOf(fix: Fix, handlers: Handlers, wait: number, caller: Caller): AsyncIterable<ApplianceEvent> {
  switch (fix.do) {
    case 'up':
      return handlers.up({ core: false, wait }, caller);
    case 'restart':
      return handlers.restart({ service: fix.service, wait }, caller);
    case 'prune':
      return handlers.prune({ wait }, caller);
    case 'run':
      return handlers.scheduleRun({ job: fix.job, wait }, caller);
    case 'renew':
      return handlers.certsRenew({ set: fix.set, wait }, caller);
    case 'load-model':
      return handlers.modelsPromote(
        { version: fix.version, reason: 'doctor --fix', acceptInconclusive: false, wait },
        caller,
      );
  }
}

/** The report of a run. @param wanted undefined: everything was looked at, and what cannot occur here is left out */
export function reportOf(run: {
  readonly wanted: string | undefined;
  readonly found: readonly Diagnosis[];
  readonly by: DoctorReport['by'];
  readonly fixes: readonly FixShape[];
  readonly clock: Pick<Clock, 'now' | 'monotonic'>;
  readonly began: number;
}): DoctorEvent {
  const { wanted, found, by, fixes, clock, began } = run;
  const relevant =
    wanted === undefined ? found.filter(({ symptom, absent }) => !absent || symptom.name === wanted) : found;
  const order = ({ verdict, causes }: Diagnosis) =>
    verdict === 'fail' ? confidences.indexOf(causes[0]?.confidence ?? 'possible') : verdict === 'inconclusive' ? 5 : 6;
  return {
    event: 'report',
    report: {
      verdict: combine(relevant.map(({ verdict }) => verdict)),
      symptom: wanted === undefined ? null : (found[0]?.symptom.name ?? null),
      by,
      time: timestamp(clock.now()),
      seconds: Math.round(clock.monotonic() - began) / 1_000,
      symptoms: relevant.toSorted((one, other) => order(one) - order(other)).map(shapeOf),
      fixes: [...fixes],
    },
  };
}

function shapeOf({ symptom, verdict, observed, causes, unknown }: Diagnosis): SymptomShape {
  const command = ({ command: text, about, fix }: Remedy) => ({ command: text, about, safe: fix !== undefined });
  return {
    symptom: symptom.name,
    title: symptom.title,
    requirement: symptom.requirement.join(', '),
    verdict,
    observed,
    causes: causes.map(({ id, summary, confidence, evidence, remedies }) => ({
      id,
      summary,
      confidence,
      evidence: evidence.map(({ source, observed: text }) => ({ source, observed: text })),
      commands: remedies.map(command),
    })),
    unknown: unknown.map(({ what, why }) => ({ what, why })),
    byHand: symptom.byHand.map(command),
  };
}
