import type { AlertsConfig } from '../../config/alerts.ts';
import type { HeldAlert, PostedAlert } from '../../host/alertmanager.ts';
import { timestamp } from '../../lib/clock.ts';
import { formatDuration } from '../../lib/units.ts';
import { marks, watchdogName } from './labels.ts';

/** How long an escalation lives without being handed in again, in milliseconds. */
const outlives = 180_000;

/**
 * What must be told to more people (S0-61): critical alerts that fire for longer than a level allows and that nobody has
 * acknowledged or silenced. Alertmanager knows no escalation, so each level is an alert of its own, with the labels of
 * the first and `escalation: "1"`; an acknowledgement silences all of them, because it names the labels they share. Pure.
 * @param now milliseconds since 1970
 */
export function escalations(
  alerts: readonly HeldAlert[],
  levels: AlertsConfig['escalation'],
  now: number,
): PostedAlert[] {
  return alerts
    .filter(
      ({ state, labels }) => state === 'active' && labels.severity === 'critical' && !(marks.escalation in labels),
    )
    .filter(({ labels }) => labels.alertname !== watchdogName && !(marks.test in labels))
    .flatMap(({ labels, annotations, startsAt }) => {
      const age = now - Date.parse(startsAt);
      return levels.flatMap(({ after }, index): PostedAlert[] => {
        if (age < after) return [];
        const summary = `unanswered for ${formatDuration(after)}: ${annotations.summary ?? labels.alertname ?? 'alert'}`;
        return [
          {
            labels: { ...labels, [marks.escalation]: String(index + 1) },
            annotations: { ...annotations, summary },
            startsAt: timestamp(Date.parse(startsAt) + after),
            endsAt: timestamp(now + outlives),
          },
        ];
      });
    });
}
