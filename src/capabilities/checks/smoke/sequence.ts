import { setTimeout as delay } from 'node:timers/promises';
import type { Sequence, SequenceStep } from '../../../config/sequences.ts';
import { askBounded, type BoundedAnswer, type BoundedQuestion } from '../../../host/http-bounded.ts';
import { messageOf } from '../../../lib/errors.ts';
import { type Check, fail, inconclusive, type Observation, pass } from '../check.ts';
import { parseJson, wrongsOf } from './assert.ts';
import { valuesAt } from './json-path.ts';
import { bodyOf, filled, MissingVariable } from './variables.ts';

/** Where requests go. */
export type Destination = Pick<BoundedQuestion, 'protocol' | 'address' | 'port' | 'host' | 'ca'>;

export interface SequenceHands {
  /** Where a path is asked for, or a service straight; or why nothing answers there. */
  readonly destination: (path: string, https: boolean, service?: string) => Destination | { readonly why: string };
  /** Environment of the release: users and passwords of test accounts. */
  readonly environment: Readonly<Record<string, string>>;
  /** Where requests go; through the edge, steps that ask a service straight are left out. */
  readonly through: 'colour' | 'edge';
  /** Headers on every request. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Redirects that are followed before they count as a loop. */
const mostRedirects = 5;
/** Milliseconds that a step may take beyond its own timeout. */
const slack = 5_000;
/** Milliseconds that a step waits in all where it is told to come back later (429): limits on clients are none on a release. */
const mostWaiting = 4_000;

/**
 * The steps of a sequence, each a check of its own. They run one after the other; a step that needs what an earlier one
 * did not give is inconclusive and says so.
 */
export function sequenceChecks({ name, steps: all }: Sequence, hands: SequenceHands): Check[] {
  const steps = all.filter(({ service }) => service === undefined || hands.through === 'colour');
  const captured = new Map<string, string>();
  /** Variable → the step that should have given it. */
  const givers = new Map(
    steps.flatMap((step) => Object.keys(step.capture).map((variable) => [variable, step.name] as const)),
  );
  let before: Promise<unknown> = Promise.resolve();
  let patience = 0;
  return steps.map((step) => {
    patience += step.timeout * (mostRedirects + 1) + slack;
    return {
      id: `smoke.${name}.${step.name}`,
      group: 'smoke',
      requirement: step.ids,
      about: step.about ?? `${step.method} ${step.path}`,
      expected: expectation(step),
      // It also waits for those before it.
      deadline: patience,
      look: (signal) => {
        const looking = before.then(() => lookAt(step, hands, captured, givers, signal));
        before = looking.catch(() => undefined);
        return looking;
      },
    };
  });
}

function expectation({ expect: { status, within, json } }: SequenceStep): string {
  const parts = [
    `status ${status.join(' or ')}`,
    ...(within === undefined ? [] : [`within ${within / 1_000} s`]),
    ...json.map(({ at }) => at),
  ];
  return parts.join(', ');
}

async function lookAt(
  step: SequenceStep,
  hands: SequenceHands,
  captured: Map<string, string>,
  givers: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<Observation> {
  const lookup = (variable: string) => captured.get(variable) ?? hands.environment[variable];
  let answer: BoundedAnswer;
  try {
    answer = await ask(step, hands, lookup, signal);
  } catch (error) {
    if (error instanceof MissingVariable) return missing(error.message, givers);
    signal.throwIfAborted();
    return fail(messageOf(error), { samples: 1 });
  }
  const wrongs = wrongsOf(answer, step.expect);
  const document = Object.keys(step.capture).length > 0 ? parseJson(answer.text) : undefined;
  for (const [variable, at] of Object.entries(step.capture)) {
    const [value] = valuesAt(document, at);
    if (['string', 'number', 'boolean'].includes(typeof value)) captured.set(variable, String(value));
    else wrongs.push(`${at} is missing, which ${variable} is read from`);
  }
  if (wrongs.length > 0) return fail(wrongs.join('; '), { samples: 1 });
  return pass(`status ${answer.status} in ${Math.round(answer.seconds * 1_000)} ms`, { samples: 1 });
}

function missing(variable: string, givers: ReadonlyMap<string, string>): Observation {
  const giver = givers.get(variable);
  return giver === undefined
    ? inconclusive(`it needs ${variable}, which the environment of the release does not have`, {
        needed: 1,
        hint: `set ${variable} in source.envFile`,
      })
    : inconclusive(`it needs ${variable}, which the step ${giver} did not give`, { needed: 1 });
}

/** @throws MissingVariable; Error that says why there is no answer */
async function ask(
  step: SequenceStep,
  hands: SequenceHands,
  lookup: (name: string) => string | undefined,
  signal: AbortSignal,
): Promise<BoundedAnswer> {
  const body = bodyOf(step, lookup);
  const headers = Object.fromEntries(
    Object.entries(step.headers).map(([name, value]) => [name.toLowerCase(), filled(value, lookup)]),
  );
  const follows = !step.expect.status.some((status) => status >= 300 && status < 400);
  const limited = !step.expect.status.includes(429);
  let path = filled(step.path, lookup);
  let waited = 0;
  for (let hop = 0; ; ) {
    const to = hands.destination(path, step.https, step.service);
    if ('why' in to) throw new Error(to.why);
    const answer = await askBounded(
      {
        ...to,
        method: step.method,
        path,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
          ...hands.headers,
        },
        body,
        timeout: step.timeout,
      },
      signal,
    );
    const later = limited && answer.status === 429 ? secondsOf(answer.headers['retry-after']) * 1_000 : Number.NaN;
    if (waited + later <= mostWaiting) {
      await delay(later, undefined, { signal });
      waited += later;
      continue;
    }
    const next = answer.headers.location;
    if (!follows || answer.status < 300 || answer.status >= 400 || typeof next !== 'string') return answer;
    if (hop >= mostRedirects)
      throw new Error(`it redirects in a loop: ${mostRedirects + 1} times, last to ${next.slice(0, 100)}`);
    path = sameOrigin(next, path, to);
    hop += 1;
  }
}

/** `Retry-After` in seconds, at least one so that nobody is asked in a loop; NaN where there is none or a date. */
function secondsOf(header: string | readonly string[] | undefined): number {
  return typeof header === 'string' && /^\d+$/.test(header) ? Math.max(1, Number(header)) : Number.NaN;
}

/** Where a redirect leads, as a path. @throws Error for another host: credentials must not go there */
function sameOrigin(next: string, path: string, to: Destination): string {
  const base = `${to.protocol}://${to.host}`;
  const target = new URL(next, new URL(path, base));
  if (target.hostname !== new URL(base).hostname) throw new Error(`it redirects to another host: ${target.hostname}`);
  return `${target.pathname}${target.search}`;
}
