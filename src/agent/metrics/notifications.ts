import { Counter, type Registry } from 'prom-client';

/** What became of the notifications of one channel since Alertmanager started. */
export interface NotificationCount {
  /** `webhook`, `slack`, `pagerduty`, `email`. */
  readonly channel: string;
  readonly accepted: number;
  readonly refused: number;
}

/** Notifications as Alertmanager counts them (CONTRACT `alert_notifications_total`). */
export class NotificationMetrics {
  readonly #notifications;

  constructor(registry: Registry) {
    this.#notifications = new Counter({
      name: 'appliance_alert_notifications_total',
      help: 'Notifications of alerts by channel, and whether its server accepted or refused them.',
      labelNames: ['channel', 'result'],
      registers: [registry],
    });
  }

  set(counts: readonly NotificationCount[]): void {
    this.#notifications.reset();
    for (const { channel, accepted, refused } of counts) {
      this.#notifications.inc({ channel, result: 'accepted' }, accepted);
      this.#notifications.inc({ channel, result: 'refused' }, refused);
    }
  }
}
