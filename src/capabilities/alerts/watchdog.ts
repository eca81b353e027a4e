import type { HeldAlert } from '../../host/alertmanager.ts';
import { formatDuration } from '../../lib/units.ts';
import { watchdogName } from './labels.ts';
import type { AlertDraft } from './own-alerts.ts';

/** Milliseconds of silence after which monitoring counts as dead: six rounds of evaluation, and a reload. */
export const silenceLimit = 120_000;

/** What the agent has seen of its monitoring. Times are milliseconds since 1970; a start counts as a sign of life. */
export interface SignsOfLife {
  /** When Alertmanager last answered. */
  readonly answered: number;
  /** When the alert that always fires was last seen; null where no Prometheus is expected to send it. */
  readonly watchdog: number | null;
  /** What Alertmanager said when it last failed. */
  readonly problem: string | undefined;
}

/** Whether monitoring is dead, and which part of it. Pure. @param now milliseconds since 1970 */
export function monitoringAlert(signs: SignsOfLife, now: number): AlertDraft | null {
  const dead = (part: string, what: string, hint: string): AlertDraft => ({
    name: 'MonitoringDead',
    severity: 'critical',
    summary: what,
    hint,
    labels: { service: part },
  });
  if (now - signs.answered >= silenceLimit) {
    const since = formatDuration(now - signs.answered);
    const why = signs.problem === undefined ? '' : ` (${signs.problem})`;
    return dead(
      'alertmanager',
      `no alert can be delivered: Alertmanager has not answered for ${since}${why}`,
      'appliance up',
    );
  }
  if (signs.watchdog !== null && now - signs.watchdog >= silenceLimit) {
    const since = formatDuration(now - signs.watchdog);
    return dead(
      'prometheus',
      `nothing watches the services: Prometheus has not sent its sign of life for ${since}`,
      'appliance logs prometheus',
    );
  }
  return null;
}

export function hasWatchdog(alerts: readonly HeldAlert[]): boolean {
  return alerts.some(({ labels }) => labels.alertname === watchdogName);
}
