import { setTimeout as delay } from 'node:timers/promises';
import type { OperationResult } from '../../src/api/schema.ts';
import { compareShare } from '../../src/capabilities/checks/analysis/share.ts';
import { type Answer, steadyLoad } from './auto-rollback/load.ts';
import { RolloutStack, threshold } from './auto-rollback/stack.ts';
import { iterations } from './demo/stack.ts';
import { main, median, type Row, range } from './row.ts';

/** Requests per second to the edge, of which the bad release gets half. */
const rate = 100;
/** Share of its requests that the bad release fails. */
const failing = 0.1;
/** Confidence that a trigger of a policy asks for by default. */
const confidence = 0.999;
/** The rival looks once in this many seconds, and over as much time. */
const period = 60;
/** Seconds within which the rival must have come to a verdict. */
const patience = 200;

export const about = `\
A bad release is found and taken back: it gets half of ${rate} requests a second and fails ${failing * 100} % of them, the limit is the
${threshold * 100} % of FLASH (S2-13). Beside the rollout a script of the usual kind, on the same stack, under the same load, in turns
with it: every ${period} s it asks Prometheus (scrapes every 10 s) for \`rate()[1m]\` of errors and requests, and when their ratio is
above the same limit it switches back, by the same switch. Its first look comes after ${looks(3).join(', ')} s. Each round has a release of
its own. "Enough samples" is when the answers that the client has seen prove the limit exceeded with the confidence that the
policy asks for. A release serves from the first request that it answers to the last; good requests are those that it did not
answer itself, and lost is one without a 200.`;

/** When the first look of the rival comes in each round, in seconds: evenly over its period, because nothing ties the two. */
function looks(rounds: number): number[] {
  return Array.from({ length: rounds }, (_, round) => Math.round(((round + 0.5) * period) / rounds));
}

/** One bad release, from its first request to its last. */
interface Round {
  /** Seconds from the answers that prove the limit exceeded to the verdict. */
  readonly detection: number;
  /** Seconds from the verdict to the last request that the bad release got, or to the switch, whichever is later. */
  readonly wayBack: number;
  readonly served: number;
  readonly failed: number;
  readonly lost: number;
  readonly requests: number;
}

/** What a bad release costs its users: under a policy, and under a script that looks at Prometheus once a minute. */
export async function bench(): Promise<Row[]> {
  const rounds = iterations(3);
  const stack = await RolloutStack.open(failing);
  try {
    const ours: Round[] = [];
    const rival: Round[] = [];
    for (const first of looks(rounds)) {
      ours.push(await roundOf(stack, (tag) => byPolicy(stack, tag)));
      rival.push(await roundOf(stack, (tag) => byScript(stack, tag, first)));
    }
    return rowsOf(ours, rival);
  } finally {
    await stack.close();
  }
}

function rowsOf(ours: readonly Round[], rival: readonly Round[]): Row[] {
  const of = (rounds: readonly Round[], what: keyof Round) => rounds.map((round) => round[what]);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const row = (what: keyof Round, name: string, unit: string, limit: number | null): Row => {
    const [mine, theirs] = [of(ours, what), of(rival, what)];
    const digits = unit === 's' ? 2 : 0;
    const value = median(mine);
    const beside = median(theirs);
    return {
      name,
      value,
      unit,
      rival: { name: 'a look at Prometheus every 60 s', value: beside },
      ratio: value / beside,
      spread: `${range(mine, digits)} and ${range(theirs, digits)} of ${mine.length}`,
      target: limit === null ? 'less than beside it' : `≤ ${limit} ${unit}, each time`,
      met: limit === null ? value < beside : Math.max(...mine) <= limit,
    };
  };
  const lost = sum(of(ours, 'lost'));
  const requests = sum(of(ours, 'requests'));
  return [
    row('detection', 'a release with 10 % errors at 50 requests/s, from enough samples to the verdict', 's', 10),
    row('wayBack', 'from that verdict to all traffic on the old colour', 's', 1),
    row('served', 'how long such a release serves', 's', null),
    row('failed', 'requests that such a release fails', 'failed', null),
    {
      name: 'good requests lost in automatic rollbacks',
      value: lost,
      unit: 'lost',
      rival: { name: 'a look at Prometheus every 60 s', value: sum(of(rival, 'lost')) },
      spread: `${lost} of ${requests.toLocaleString('en-US')} in ${ours.length} rollbacks`,
      target: '0',
      met: lost === 0 && requests > 0,
    },
  ];
}

/** When a release was judged, and when the switch back was done; milliseconds since 1970. */
interface Verdict {
  readonly at: number;
  readonly switched: number;
}

async function roundOf(stack: RolloutStack, judge: (tag: string) => Promise<Verdict>): Promise<Round> {
  const tag = await stack.badRelease();
  const load = steadyLoad(stack.url, rate);
  let verdict: Verdict;
  let answers: readonly Answer[];
  try {
    verdict = await judge(tag);
  } finally {
    answers = await load.stop();
  }
  const bad = answers.filter(({ release }) => release === tag).sort((a, b) => a.ended - b.ended);
  const [first, last] = [bad[0], bad.at(-1)];
  const enough = whenEnough(bad);
  if (!first || !last || enough === null) throw new Error(`${tag} was judged before it was proven bad`);
  const lastBegun = Math.max(...bad.map(({ begun }) => begun));
  const good = answers.filter(({ release }) => release !== tag);
  return {
    detection: Math.max(0, verdict.at - enough) / 1_000,
    wayBack: (Math.max(verdict.switched, lastBegun) - verdict.at) / 1_000,
    served: (last.ended - first.begun) / 1_000,
    failed: bad.filter(({ status }) => status !== 200).length,
    lost: good.filter(({ status }) => status !== 200).length,
    requests: good.length,
  };
}

/** When the answers first prove that more than the threshold are errors; null when they never do. */
function whenEnough(answers: readonly Answer[]): number | null {
  let errors = 0;
  for (const [index, { status, ended }] of answers.entries()) {
    if (status >= 500) errors += 1;
    if (compareShare(errors, index + 1, threshold, confidence) === 'greater') return ended;
  }
  return null;
}

/** The appliance judges and goes back by itself. */
async function byPolicy(stack: RolloutStack, tag: string): Promise<Verdict> {
  const seen = { at: Number.NaN, switched: Number.NaN };
  const result = await stack.lab.operate('deploy', { tag, policy: 'watched' }, (event) => {
    if (event.event !== 'step') return;
    if (event.name === 'hold-stage' && event.state === 'failed') seen.at = Date.parse(event.time);
    if (event.name === 'shift-traffic' && event.state === 'undone') seen.switched = Date.parse(event.time);
  });
  assertBack(result, 'rollout_failed');
  return seen;
}

/** The same shares without any rule; a script looks at Prometheus and calls the rollout off. */
async function byScript(stack: RolloutStack, tag: string, first: number): Promise<Verdict> {
  const shifted = Promise.withResolvers<void>();
  let switched = Number.NaN;
  const ended = stack.lab.operate('deploy', { tag, policy: 'unwatched' }, (event) => {
    if (event.event === 'rollout' && event.rollout.stage === 1) shifted.resolve();
    if (event.event === 'step' && event.name === 'shift-traffic' && event.state === 'undone')
      switched = Date.parse(event.time);
  });
  await Promise.race([shifted.promise, ended]);
  await delay(first * 1_000);
  for (let waited = first; (await stack.errorRatio(tag)) <= threshold; waited += period) {
    if (waited > patience) throw new Error(`Prometheus knows of no errors of ${tag} after ${waited} s`);
    await delay(period * 1_000);
  }
  const at = Date.now();
  await stack.lab.client((client) => client.ask('abort', {}));
  assertBack(await ended, 'rollout_aborted');
  return { at, switched };
}

function assertBack({ result, error }: OperationResult, code: string): void {
  if (result !== 'rolled_back' || error?.code !== code)
    throw new Error(`the rollout ended as ${result}, not taken back for ${code}: ${error?.message}`);
}

if (import.meta.main) await main(bench);
