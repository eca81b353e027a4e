import type { AlertDraft } from './own-alerts.ts';

/** What a rollout looks like to somebody who is told of it. */
export interface SeenRollout {
  readonly to: string;
  readonly policy: string;
  /** Share that it gets, 0 to 100. */
  readonly weight: number;
  /** Whether this share was only just given. */
  readonly isNew: boolean;
  /** What is to be investigated but does not take it back. */
  readonly odd: readonly { readonly id: string; readonly observed: string; readonly expected?: string | undefined }[];
}

/** How long a change of traffic stays news, and how long an oddity lasts that nobody sees again, in milliseconds. */
const news = 15 * 60_000;
const oddity = 5 * 60_000;

/** Whom a rollout tells of what while it runs. Pure. */
export function alertsOfRollout({ to, policy, weight, isNew, odd }: SeenRollout): AlertDraft[] {
  // S4-37: changes of traffic are news.
  const changed: AlertDraft = {
    name: 'TrafficChanged',
    severity: 'info',
    summary: `${to} gets ${weight} % of the traffic, by policy ${policy}`,
    labels: { target: to, weight: String(weight) },
    lasts: news,
  };
  const strange = odd.map(
    ({ id, observed, expected }): AlertDraft => ({
      name: 'Investigate',
      severity: 'warning',
      summary: `${id}: ${observed} with ${to} at ${weight} %${expected === undefined ? '' : ` (expected ${expected})`}`,
      hint: 'it is not taken back for this; appliance status shows all figures, appliance abort takes it back',
      labels: { target: to, rule: id },
      lasts: oddity,
    }),
  );
  return [...(isNew ? [changed] : []), ...strange];
}
