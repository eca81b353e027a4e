import { age, conditionOf, rolloutLine, seconds, stageOf } from '../../api/describe.ts';
import type { Rollout, ServiceStatus } from '../../api/schema.ts';
import { count, oneLine } from '../../lib/text.ts';
import type { State } from '../state.ts';

/** What the agent has said of the appliance: what an order would meet, where there is no plan to ask for. */
export type Known = Pick<State, 'status' | 'history' | 'now'>;

const nameOf = ({ name, colour }: ServiceStatus) => (colour === null ? name : `${name} (${colour})`);
const runs = ({ state }: ServiceStatus) => state === 'running' || state === 'restarting';

/** How long it took the last time. @param kind of the operation */
function lastTime({ history, now }: Known, kind: string): string[] {
  const last = history.find((one) => one.kind === kind);
  if (!last) return [];
  const how = last.result === 'done' ? `took ${seconds(last.seconds)}` : `ended as ${last.result}`;
  return [`The last one, ${age(last.startedAt, now)} ago, ${how}.`];
}

/** What is being answered now, and by whom. */
function served({ status }: Known): string[] {
  if (!status?.release) return [];
  const { tag, colour } = status.release;
  const rate = status.requests ? `, ${status.requests.perSecond.toFixed(1)} requests a second` : '';
  return [`${tag} on ${colour} serves now${rate}.`];
}

function inTheWay({ status }: Known): string[] {
  return status?.operation ? [`${status.operation.kind} runs; this is refused until it has ended.`] : [];
}

/** Every container that is stopped. */
export function downOutlook(known: Known): string[] {
  const up = (known.status?.services ?? []).filter(runs);
  return [
    ...(known.status === undefined ? [] : [`Stops ${count(up.length, 'container')}: ${up.map(nameOf).join(', ')}`]),
    ...served(known),
    ...inTheWay(known),
    ...lastTime(known, 'down'),
  ];
}

/** What does not run, as the agent sees it. */
export function upOutlook(known: Known): string[] {
  const { status } = known;
  if (!status) return [];
  const off = status.services.filter((service) => ['fail', 'inconclusive'].includes(conditionOf(service)));
  const wrong = status.findings.filter(({ verdict, hint }) => verdict !== 'pass' && hint === 'appliance up');
  return [
    off.length === 0
      ? 'Every container that exists runs.'
      : `Does not run as it should: ${off.map((one) => `${nameOf(one)} ${one.health ?? one.state}`).join(', ')}`,
    ...wrong.map(({ observed }) => oneLine(observed)),
    ...inTheWay(known),
    ...lastTime(known, 'up'),
  ];
}

/** The containers of a service, or all of the live release. */
export function restartOutlook(known: Known, service: string | undefined): string[] {
  const { status, now } = known;
  const meant = (status?.services ?? []).filter(({ name, colour }) =>
    service === undefined
      ? colour !== null && colour === status?.release?.colour
      : name === service || name.replace(/-\d+$/, '') === service,
  );
  return [
    ...meant.map((one) => `${nameOf(one)}: ${one.health ?? one.state} for ${age(one.since, now)}`),
    ...served(known),
    ...inTheWay(known),
    ...lastTime(known, 'restart'),
  ];
}

/** Where a rollout stands. */
export function rolloutOutlook(rollout: Rollout | null | undefined): string[] {
  return rollout ? [rolloutLine(rollout)] : [];
}

/** The gates that have not passed, which a promotion passes over, and what comes after it. */
export function promoteOutlook(rollout: Rollout | null | undefined, all: boolean): string[] {
  if (!rollout) return [];
  const { findings, stage, stages } = rollout;
  const open = findings.filter(({ role, verdict }) => role === 'gate' && verdict !== 'pass');
  const left = stages - stage;
  return [
    `${rollout.to} is in ${stageOf(rollout)}.`,
    open.length === 0
      ? 'All of its gates have passed.'
      : `Passed over: ${open
          .map(({ id, verdict, observed, expected }) => {
            const limit = expected === undefined ? '' : `, expected ${oneLine(expected)}`;
            return `${id} (${verdict}): ${oneLine(observed)}${limit}`;
          })
          .join('; ')}`,
    left === 0
      ? 'It is the last stage.'
      : `${count(left, 'stage')} after it ${all ? (left === 1 ? 'is passed too.' : 'are passed too.') : left === 1 ? 'is to come.' : 'are to come.'}`,
  ];
}

/** Metrics that a line compares at most. */
const mostMetrics = 4;

/** Which model is in force, and how the metrics of another version differ from its own. @param kind of the operation */
export function modelOutlook(
  known: Known & Pick<State, 'documents'>,
  kind: string,
  version: string | undefined,
): string[] {
  const { status, documents } = known;
  const active = status?.models.active;
  const rows = documents.models?.data ?? [];
  const now = active && rows.find(({ sha256 }) => sha256 === active.sha256);
  const then = rows.find((row) => version === row.version || version === `${row.name}@${row.version}`);
  const metrics = Object.entries(then?.metrics ?? {}).flatMap(([name, value]) => {
    const before = now?.metrics[name];
    return before === undefined || before === value ? [] : [`${name} ${short(before)} to ${short(value)}`];
  });
  return [
    ...(status === undefined
      ? []
      : [active ? `${active.name} ${active.version} is in force now.` : 'No model is in force now.']),
    ...(metrics.length === 0
      ? []
      : [
          `From it to this one: ${metrics.slice(0, mostMetrics).join(', ')}${metrics.length > mostMetrics ? ', …' : ''}`,
        ]),
    ...inTheWay(known),
    ...lastTime(known, kind),
  ];
}

const short = (value: number) => String(Number(value.toPrecision(4)));

/** Whose requests go back to whom. */
export function abortOutlook({ status }: Known): string[] {
  const rollout = status?.rollout;
  if (rollout)
    return [
      `${rolloutLine(rollout)}`,
      `The share of ${rollout.to}, ${rollout.weight} %, goes back to ${rollout.from ?? 'what was live before'}.`,
    ];
  const { operation } = status ?? {};
  return operation ? [`${operation.kind} is at ${operation.progress} %, begun by ${operation.actor.user}.`] : [];
}
