import { formatDuration } from '../lib/units.ts';
import type { CrossIssue } from './cross-issue.ts';
import { metricOf } from './metrics.ts';
import { limitNames, type Policy, type PolicyAlert, type PolicyRule } from './policy.ts';

type Condition = PolicyRule | PolicyAlert;

const lists = ['gates', 'rollback', 'investigate', 'alerts'] as const;

/** Everything in a policy that is well-formed but cannot work. Pure. */
export function policyIssues(policy: Policy): CrossIssue[] {
  return [
    ...stageIssues(policy),
    ...lists.flatMap((list) => [
      ...twice(idsOf(policy[list]), list, 'id'),
      ...policy[list].flatMap((condition, index) => conditionIssues(condition, [list, index], list === 'alerts')),
    ]),
    ...twice(
      policy.alerts.map(({ name }) => name),
      'alerts',
      'name',
    ),
    ...twice(idsOf(policy.byHand), 'byHand', 'id'),
    ...twice(idsOf(policy.reviews), 'reviews', 'id'),
    ...twice(idsOf(policy.questions), 'questions', 'id'),
    ...twice(
      policy.approvals.map(({ role }) => role),
      'approvals',
      'role',
    ),
    ...timeIssues(policy),
    ...contradictions(policy),
  ];
}

function stageIssues({ canary, bake, gates, shadow }: Policy): CrossIssue[] {
  const stages = canary?.stages ?? [];
  const at = (index: number, key: string) => ['canary', 'stages', index, key];
  const issues = stages.flatMap((stage, index): CrossIssue[] => {
    const before = stages[index - 1];
    if (before && stage.weight <= before.weight) {
      const message = `${stage.weight} % after ${before.weight} %: each stage must have a greater share than the one before`;
      return [{ path: at(index, 'weight'), message }];
    }
    return stage.every > stage.for && stage.for > 0
      ? [{ path: at(index, 'every'), message: `it is longer than the stage (${formatDuration(stage.for)})` }]
      : [];
  });
  const last = stages.at(-1);
  if (last && last.weight !== 100)
    issues.push({ path: at(stages.length - 1, 'weight'), message: 'the last stage must give 100 %' });
  if (shadow && shadow.every > shadow.for)
    issues.push({
      path: ['shadow', 'every'],
      message: `it is longer than the copies go on (${formatDuration(shadow.for)})`,
    });
  if (bake && bake.every > bake.for) issues.push({ path: ['bake', 'every'], message: 'it is longer than the watch' });
  const watched = bake !== undefined || stages.some((stage) => stage.for > 0);
  if (watched && gates.length === 0)
    issues.push({ path: ['gates'], message: 'a release that is watched needs at least one gate, or it never passes' });
  return issues;
}

function idsOf(list: readonly { readonly id: string }[]): string[] {
  return list.map(({ id }) => id);
}

function twice(values: readonly string[], list: string, key: string): CrossIssue[] {
  return values.flatMap((value, index) => {
    const first = values.indexOf(value);
    if (first === index) return [];
    return [{ path: [list, index, key], message: `${value} stands in ${list}[${first}] already; write ${value}-b` }];
  });
}

function conditionIssues(condition: Condition, path: readonly PropertyKey[], isAlert: boolean): CrossIssue[] {
  const given = limitNames.filter((name) => condition[name] !== undefined);
  const [limit] = given;
  if (limit === undefined || given.length > 1) {
    const found = given.length === 0 ? 'it has none' : `it has ${given.join(' and ')}`;
    return [{ path, message: `a condition needs one of ${limitNames.join(', ')}; ${found}` }];
  }
  const issues: CrossIssue[] = limitIssues(condition, limit).map((message) => ({ path: [...path, limit], message }));
  if (condition.over !== undefined && condition.for > 0 && condition.for % condition.over !== 0) {
    const message = `${formatDuration(condition.for)} is not a multiple of over (${formatDuration(condition.over)})`;
    issues.push({ path: [...path, 'for'], message });
  }
  const allowed = isAlert ? 'day-before' : 'baseline';
  if (condition.against !== undefined && condition.against !== allowed)
    issues.push({ path: [...path, 'against'], message: `here only ${allowed} can be compared with` });
  const { shape, source } = metricOf(condition.metric);
  if (!isAlert && source === 'agent') {
    const message = `${condition.metric} says nothing about a release; only an alert can use it`;
    issues.push({ path: [...path, 'metric'], message });
  }
  if (condition.against !== undefined && (shape === 'count' || condition.metric === 'health'))
    issues.push({ path: [...path, 'against'], message: `${condition.metric} has no relative change` });
  return issues;
}

/** Limits that no value, or every value, is beyond. */
function limitIssues(condition: Condition, limit: (typeof limitNames)[number]): string[] {
  const { unit, range, shape } = metricOf(condition.metric);
  const [least, most] = condition.against === undefined ? range : [-1, Number.POSITIVE_INFINITY];
  const value = condition[limit];
  const hint = (number: number): string =>
    unit === 'share' && number > 1 && number <= 100 ? `; shares are written from 0 to 1: ${number / 100}?` : '';
  if (Array.isArray(value)) {
    const [low, high] = value;
    if (low >= high) return [`${low} is not less than ${high}`];
    return low < least || high > most ? [`${condition.metric} is from ${least} to ${most}${hint(high)}`] : [];
  }
  if (typeof value !== 'number') return [];
  if (shape === 'ratio' && limit === 'atMost' && value === 0 && condition.against === undefined)
    return ['no number of requests proves a share of 0; ask for server-errors with atMost 0 instead'];
  const possible = {
    above: value >= least && value < most,
    atMost: value >= least && value < most,
    below: value > least && value <= most,
    atLeast: value > least && value <= most,
    between: true,
  };
  if (possible[limit]) return [];
  return [
    `impossible: ${condition.metric} is from ${least} to ${most}, so "${limit} ${value}" decides nothing${hint(value)}`,
  ];
}

/** A condition that must hold for longer than anybody watches. */
function timeIssues({ canary, bake, gates, rollback }: Policy): CrossIssue[] {
  const watches = [...(canary?.stages ?? []), ...(bake ? [bake] : [])].filter((watch) => watch.for > 0);
  const total = watches.reduce((sum, watch) => sum + watch.for, 0);
  const shortest = Math.min(...watches.map((watch) => watch.for + watch.patience));
  const path = (list: string, index: number) => [list, index, 'for'];
  if (watches.length === 0) return [];
  return [
    ...rollback.flatMap((rule, index) =>
      rule.for > total
        ? [{ path: path('rollback', index), message: `nobody watches for longer than ${formatDuration(total)}` }]
        : [],
    ),
    ...gates.flatMap((rule, index) =>
      rule.for > shortest
        ? [
            {
              path: path('gates', index),
              message: `it can never pass a stage that ends after ${formatDuration(shortest)}, its patience included`,
            },
          ]
        : [],
    ),
  ];
}

/** A gate that passes only what a trigger takes back. */
function contradictions({ gates, rollback }: Policy): CrossIssue[] {
  return gates.flatMap((gate, index) => {
    const floor = gate.atLeast ?? gate.above;
    const ceiling = gate.atMost ?? gate.below;
    const trigger = rollback.find(
      (rule) =>
        rule.metric === gate.metric &&
        rule.against === gate.against &&
        ((floor !== undefined && (rule.above ?? Number.POSITIVE_INFINITY) <= floor) ||
          (ceiling !== undefined && (rule.below ?? Number.NEGATIVE_INFINITY) >= ceiling)),
    );
    return trigger ? [{ path: ['gates', index], message: `what passes it is taken back by ${trigger.id}` }] : [];
  });
}
