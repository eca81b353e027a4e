import { stringify } from 'yaml';
import type { Policy, PolicyAlert } from '../../config/policy.ts';
import { type Measured, type Unwatched, unwatchedOf, whyUnwatched } from '../../config/unwatched.ts';
import type { AlertingRule, RecordingRule, Rule } from './rule.ts';
import { applianceRules } from './rules-appliance.ts';
import { answering, expressionOf, promDuration } from './rules-expressions.ts';

export interface RuleSet {
  /** Name of a file → its text. */
  readonly files: Readonly<Record<string, string>>;
  readonly unwatched: readonly Unwatched[];
}

/** What a value is measured over where a policy does not say, in milliseconds: six scrapes. */
const defaultOver = 60_000;

/**
 * The rules that Prometheus evaluates: those of the appliance itself, and a file for each policy whose alerts are wanted.
 * Pure: the same input gives the same text.
 */
export function ruleSet(policies: readonly Policy[], measured: Measured): RuleSet {
  const files: Record<string, string> = { 'appliance.yml': ruleFile('appliance', applianceRules) };
  for (const policy of policies)
    files[`policy-${policy.name}.yml`] = ruleFile(`policy-${policy.name}`, policyRules(policy, measured));
  return { files, unwatched: unwatchedOf(policies, measured) };
}

/** The rules of one policy: each measured value is recorded once, then compared as often as alerts ask for it. */
function policyRules(policy: Policy, measured: Measured): Rule[] {
  const own = measured.metrics;
  const records = new Map<string, RecordingRule>();
  const alerts: AlertingRule[] = [];
  // Each policy records under its own name: two groups that write the same series would mix their samples.
  const level = policy.name.replaceAll('-', '_');
  const answers = `${level}:answers:now`;
  if (policy.alerts.some(({ metric }) => metric === 'availability' && own[metric] === undefined))
    records.set(answers, { record: answers, expr: answering });
  for (const alert of policy.alerts) {
    const over = promDuration(Math.max(alert.over ?? defaultOver, leastOver(alert)));
    const expr = expressionOf(alert.metric, over, own, answers);
    if (expr === undefined || whyUnwatched(alert, measured) !== undefined) continue;
    const record = `${level}:${alert.metric.replaceAll('-', '_')}:${over}`;
    records.set(record, { record, expr });
    alerts.push(alertingRule(policy.name, alert, record));
  }
  return [...records.values(), ...alerts];
}

/** Milliseconds below which a rate has too few scrapes to be one; four, so that a missed one does no harm. */
function leastOver({ metric }: PolicyAlert): number {
  return metric === 'availability' ? 0 : 40_000;
}

function alertingRule(policy: string, alert: PolicyAlert, record: string): AlertingRule {
  const value = alert.against === undefined ? record : `(${record} / ${record} offset 1d - 1)`;
  return {
    alert: alert.name,
    expr: comparison(value, alert),
    ...(alert.for > 0 ? { for: promDuration(alert.for) } : {}),
    labels: { severity: alert.severity, requirement: alert.id, policy },
    annotations: {
      summary: alert.summary,
      description: `${alert.metric} is {{ $value | humanize }} (policy ${policy}, ${alert.id})`,
    },
  };
}

function comparison(value: string, { above, below, atLeast, atMost, between }: PolicyAlert): string {
  if (above !== undefined) return `${value} > ${above}`;
  if (below !== undefined) return `${value} < ${below}`;
  if (atLeast !== undefined) return `${value} >= ${atLeast}`;
  if (atMost !== undefined) return `${value} <= ${atMost}`;
  const [low, high] = between ?? [Number.NaN, Number.NaN];
  return `${value} >= ${low} <= ${high}`;
}

/** A file of rules, evaluated as one group: in their order, at the interval of the configuration. */
function ruleFile(group: string, rules: readonly Rule[]): string {
  return `# Written by appliance. What is changed here is lost.\n${stringify({ groups: [{ name: group, rules }] }, { lineWidth: 0 })}`;
}
