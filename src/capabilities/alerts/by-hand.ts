import type { Policy } from '../../config/policy.ts';
import type { AlertDraft } from './own-alerts.ts';

/** Name of every alert that a person raises; the label `requirement` says which condition it is. */
export const reportedName = 'ReportedByHand';

/** A condition of a policy that a person may report (`byHand`). */
export interface Condition {
  readonly policy: string;
  readonly id: string;
  readonly text: string;
  readonly action: Policy['byHand'][number]['action'];
}

/** The conditions of policies, the first policy that has an id being the one that counts. Pure. */
export function conditionsOf(policies: readonly Policy[]): Condition[] {
  const found = new Map<string, Condition>();
  for (const { name, byHand } of policies)
    for (const condition of byHand)
      if (!found.has(condition.id)) found.set(condition.id, { policy: name, ...condition });
  return [...found.values()];
}

const hints = {
  rollback: 'appliance abort takes a running rollout back; appliance rollback goes back from a release that is live',
  investigate: 'look into it, then: appliance alerts resolve',
  alert: 'look into it, then: appliance alerts resolve',
} as const;

/**
 * The alert by which a person tells of what no software here can see: a security incident (S4-31), complaints (S4-14), a
 * vulnerability (S1-69). It goes on until a person says that it is over. Pure.
 */
export function reportedAlert({ policy, id, text, action }: Condition, by: string, comment: string): AlertDraft {
  return {
    name: reportedName,
    severity: action === 'investigate' ? 'warning' : 'critical',
    summary: `${text}, as ${by} says${comment === '' ? '' : `: ${comment}`}`,
    hint: hints[action],
    labels: { requirement: id, policy },
  };
}
