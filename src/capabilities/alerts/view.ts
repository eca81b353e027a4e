import { type Severity, severities } from '../../config/alerts.ts';
import type { HeldAlert, Silence } from '../../host/alertmanager.ts';
import { timestamp } from '../../lib/clock.ts';
import { marks, testName, watchdogName } from './labels.ts';
import { idOf, type OwnAlert } from './own-alerts.ts';

/** An alert as it is shown. Times are RFC 3339. */
export interface ShownAlert {
  readonly id: string;
  readonly name: string;
  readonly severity: Severity;
  readonly summary: string;
  readonly hint: string | null;
  readonly since: string;
  readonly state: 'firing' | 'acknowledged' | 'silenced' | 'inhibited';
  /** Who acknowledged or silenced it, and until when. */
  readonly by: string | null;
  readonly until: string | null;
  readonly source: 'agent' | 'alertmanager';
  readonly receivers: string[];
  readonly labels: Record<string, string>;
}

/** Begins the comment of a silence that is an acknowledgement. */
export const acknowledgement = 'ack: ';

/**
 * What fires, from Alertmanager and from the agent; an alert that both know is shown once. Escalations, tests and the
 * alert that always fires are no news and are left out. Pure.
 * @param now milliseconds since 1970
 * @param held undefined when Alertmanager does not answer: the agent's own are all that is known
 */
export function shownAlerts(
  held: { readonly alerts: readonly HeldAlert[]; readonly silences: readonly Silence[] } | undefined,
  own: readonly OwnAlert[],
  now: number,
): ShownAlert[] {
  const fromThere = (held?.alerts ?? []).filter(isNews).map((alert) => ofHeld(alert, held?.silences ?? []));
  const known = new Set(fromThere.map(({ id }) => id));
  const rest = own.filter(({ id }) => !known.has(id)).map((alert) => ofOwn(alert, now));
  return [...fromThere, ...rest].sort(
    (a, b) => severities.indexOf(a.severity) - severities.indexOf(b.severity) || b.since.localeCompare(a.since),
  );
}

function isNews({ labels }: HeldAlert): boolean {
  return labels.alertname !== watchdogName && labels.alertname !== testName && !(marks.escalation in labels);
}

function ofHeld({ labels, annotations, ...alert }: HeldAlert, silences: readonly Silence[]): ShownAlert {
  const silence = silences.find(({ id }) => alert.silencedBy.includes(id));
  const silenced = silence?.comment.startsWith(acknowledgement) ? ('acknowledged' as const) : ('silenced' as const);
  return {
    id: idOf(labels),
    name: labels.alertname ?? 'unnamed',
    severity: severities.find((known) => known === labels.severity) ?? 'warning',
    summary: annotations.summary ?? annotations.description ?? labels.alertname ?? 'an alert without a summary',
    hint: annotations.hint ?? null,
    since: new Date(alert.startsAt).toISOString(),
    state: silence ? silenced : alert.inhibitedBy.length > 0 ? 'inhibited' : 'firing',
    by: silence?.createdBy ?? null,
    until: silence ? new Date(silence.endsAt).toISOString() : null,
    source: labels.source === 'agent' ? 'agent' : 'alertmanager',
    receivers: alert.receivers,
    labels,
  };
}

function ofOwn({ acknowledged: given, ...alert }: OwnAlert, now: number): ShownAlert {
  const acknowledged = given && given.until > now ? given : null;
  return {
    id: alert.id,
    name: alert.labels.alertname ?? 'unnamed',
    severity: alert.severity,
    summary: alert.summary,
    hint: alert.hint,
    since: timestamp(alert.startsAt),
    state: acknowledged ? 'acknowledged' : 'firing',
    by: acknowledged?.by ?? null,
    until: acknowledged ? timestamp(acknowledged.until) : null,
    source: 'agent',
    receivers: [],
    labels: alert.labels,
  };
}
