import { formatDuration } from '../lib/units.ts';
import type { Verdict } from '../lib/verdict.ts';
import type { Actor, Change, OperationResult, Rollout, ServiceStatus, Status } from './schema.ts';

/** Words that every face uses for the same things. Pure functions over the shapes of `schema.ts`. */

/** How a service is doing: a verdict, `running` while it starts, `skipped` when it is done and need not run. */
export type Condition = Verdict | 'running' | 'skipped';

export function conditionOf({ state, health }: Pick<ServiceStatus, 'state' | 'health'>): Condition {
  if (health === 'healthy') return 'pass';
  if (health === 'unhealthy') return 'fail';
  if (health === 'starting' || state === 'restarting' || state === 'created') return 'running';
  if (state === 'running') return 'pass';
  if (state === 'completed') return 'skipped';
  return state === 'paused' || state === 'unknown' ? 'inconclusive' : 'fail';
}

/** `4 min 05 s` since a time. @param now milliseconds since 1970 */
export function age(time: string | null, now: number): string {
  if (time === null) return '–';
  const ms = now - Date.parse(time);
  if (Number.isNaN(ms)) return '–';
  return ms < 1_000 ? '0 s' : formatDuration(ms < 60_000 ? Math.floor(ms / 1_000) * 1_000 : ms).replace('.0 s', ' s');
}

/** `30 d`, `5 h`, `12 min`: the largest unit alone, for a column. @param now milliseconds since 1970 */
export function shortAge(time: string, now: number): string {
  const [number, unit] = age(time, now).split(' ');
  return unit === undefined ? (number ?? '') : `${Math.floor(Number(number))} ${unit}`;
}

/** `0.21 %` of a ratio; the little that there is does not become nothing. */
export function share(ratio: number): string {
  const value = ratio * 100;
  return `${value === 0 || value >= 10 ? Math.round(value) : value < 0.01 ? '< 0.01' : value.toFixed(2)} %`;
}

/** `12.4/s, errors 0.21 %, p95 84 ms`: what the edge has answered lately. */
export function requestsLine({ perSecond, errorRatio, p95 }: NonNullable<Status['requests']>): string {
  return [
    `${perSecond.toFixed(perSecond < 100 ? 1 : 0)}/s`,
    ...(errorRatio === null ? [] : [`errors ${share(errorRatio)}`]),
    ...(p95 === null ? [] : [`p95 ${formatDuration(p95 * 1_000)}`]),
  ].join(', ');
}

/** `made 5 h ago, restore proven 3 d ago, next in 19 h`. @param now milliseconds since 1970 */
export function backupLine({ lastSuccess, lastProvenRestore, nextRun }: Status['backup'], now: number): string {
  const ago = (time: string | null) => (time === null ? 'never' : `${shortAge(time, now)} ago`);
  const left = nextRun === null ? null : Date.parse(nextRun) - now;
  return [
    lastSuccess === null ? 'none was made yet' : `made ${ago(lastSuccess)}`,
    ...(lastSuccess === null ? [] : [`restore proven ${ago(lastProvenRestore)}`]),
    left === null
      ? 'none is due by the clock'
      : left <= 0
        ? 'next is due'
        : `next in ${shortAge(new Date(now - left).toISOString(), now)}`,
  ].join(', ');
}

/** `12.3 s` of a number of seconds. */
export function seconds(value: number): string {
  return formatDuration(value * 1_000);
}

/** `2.4` for a column `%CPU` (of one core, as `ps` and `top` have it), or a dash while there are no two readings yet. */
export function percent(value: number | null): string {
  return value === null ? '–' : value.toFixed(1);
}

/** What a warm release is good for. */
export const wayBack = 'rollback in about a second';

/** `deploy v1.0`, `restart backend`, `up` */
export function titleOf(kind: string, target: string | null): string {
  return target ? `${kind} ${target}` : kind;
}

/** One line about an operation that has ended well. */
export function successLine(result: OperationResult): string {
  const took = seconds(result.seconds);
  const shift = result.shiftSeconds === null ? '' : `; traffic was on it after ${seconds(result.shiftSeconds)}`;
  const was = result.from && result.from !== result.to ? ` (was ${result.from})` : '';
  if (result.kind === 'deploy' && result.to) return `${result.to} is live${was}, ${took}${shift}`;
  if (result.kind === 'rollback' && result.from === result.to && result.steps.length === 0) {
    return `${result.to} is live already; nothing was done`;
  }
  if (result.kind === 'rollback' && result.to) return `back on ${result.to}${was}, ${took}${shift}`;
  if (result.kind === 'model-promote' && result.to) return `${result.to} is in force${was}, ${took}`;
  if (result.kind === 'model-rollback' && result.to) return `${result.to} is in force again${was}, ${took}`;
  const receipt = result.steps.find(({ name }) => name === 'await-receipt');
  if (result.kind === 'drill' && receipt) return `${receipt.detail}; ${result.to} runs again, ${took}`;
  return `${titleOf(result.kind, result.to)} done in ${took}`;
}

/** `stage 2 of 5: 25 %` */
export function stageOf({
  stage,
  stages,
  kind,
  weight,
}: Pick<Rollout, 'stage' | 'stages' | 'kind' | 'weight'>): string {
  if (stage === 0) return 'before its first stage';
  if (kind === 'shadow') return `stage ${stage} of ${stages}: copies of requests alone`;
  return kind === 'bake'
    ? `stage ${stage} of ${stages}: all traffic, watched`
    : `stage ${stage} of ${stages}: ${weight} %`;
}

/** One line about a rollout: `v1.0, stage 2 of 5: 25 % for 3 min 10 s, policy flash; 6 min 50 s to go` */
export function rolloutLine(rollout: Rollout): string {
  const { to, policy, state, secondsHeld, waiting } = rollout;
  const mood = state === 'running' ? '' : ` (${state})`;
  // What comes after is what the findings say as well.
  const [first = ''] = (waiting ?? '').split('; ');
  return `${to}, ${stageOf(rollout)} for ${seconds(secondsHeld)}, policy ${policy}${mood}${first === '' ? '' : `; ${first}`}`;
}

/** Who acted: the account, and who had logged in where that is another one: `root (anna)`. */
export function accountOf({ user, login }: Pick<Actor, 'user' | 'login'>): string {
  return login === undefined ? user : `${user} (${login.user})`;
}

/** What went wrong, without advice: `deploy v1.2 failed after 61.0 s and was taken back: …` */
export function failureLine(result: OperationResult): string {
  const outcome = {
    done: 'is done',
    failed: 'failed',
    rolled_back: 'failed and was taken back',
    manual: 'stopped and needs a person',
  }[result.result];
  const why = result.error ? `: ${result.error.message}` : '';
  return `${titleOf(result.kind, result.to)} ${outcome} after ${seconds(result.seconds)}${why}`;
}

/** `~ image backend  sha256:1a… → sha256:2b…` */
export function changeLine({ area, name, kind, from, to }: Change): string {
  const sign = { added: '+', removed: '-', changed: '~' }[kind];
  const values = kind === 'changed' && from !== null && to !== null ? `  ${from} → ${to}` : `  ${to ?? from ?? ''}`;
  return `${sign} ${area === name ? area : `${area} ${name}`}${values}`.trimEnd();
}

/**
 * Which of so many colours a service has: the same in every run and on every face, and shared by its replicas.
 * @param size colours to choose from
 */
export function hueOf(service: string, size: number): number {
  let hash = 0;
  for (const character of service.replace(/-\d+$/, '')) hash = (hash * 31 + character.charCodeAt(0)) >>> 0;
  return hash % size;
}
