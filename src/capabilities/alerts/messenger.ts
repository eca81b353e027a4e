import type { ReceiverConfig } from '../../config/alerts.ts';
import type { PostedAlert } from '../../host/alertmanager.ts';
import { sendMail } from '../../host/mail.ts';
import { ApplianceError } from '../../lib/errors.ts';

/** Milliseconds for a receiver to accept a message. */
const patience = 10_000;
/** Where PagerDuty takes events (Events API v2). */
const pagerDuty = 'https://events.pagerduty.com/v2/enqueue';

/**
 * Tells one receiver of an alert without Alertmanager: the last resort, for when it is Alertmanager that is dead. A
 * webhook gets what Alertmanager would have sent (its webhook format, version 4).
 * @param secret what the receiver's secret file holds
 * @throws ApplianceError `step_failed` when the receiver's server does not accept it; never with the secret
 */
export async function tellDirectly(
  receiver: ReceiverConfig & { readonly name: string },
  secret: string | undefined,
  alert: PostedAlert,
): Promise<void> {
  const { summary = '', hint } = alert.annotations;
  const text = `${alert.labels.severity}: ${summary}${hint === undefined ? '' : ` (${hint})`}`;
  switch (receiver.type) {
    case 'webhook':
      return post(receiver.name, receiver.url ?? secret ?? '', {
        version: '4',
        status: 'firing',
        receiver: receiver.name,
        groupLabels: { alertname: alert.labels.alertname },
        commonLabels: alert.labels,
        commonAnnotations: alert.annotations,
        alerts: [{ status: 'firing', ...alert }],
      });
    case 'slack':
      return post(receiver.name, secret ?? '', { text, ...(receiver.channel ? { channel: receiver.channel } : {}) });
    case 'pagerduty': {
      const { alertname = '', appliance = '', severity } = alert.labels;
      return post(receiver.name, receiver.url ?? pagerDuty, {
        routing_key: secret,
        event_action: 'trigger',
        dedup_key: `${appliance} ${alertname}`,
        payload: { summary, severity, source: appliance },
      });
    }
    case 'email': {
      const { to = [], from = '', server = '', user, tls } = receiver;
      const login = user === undefined || secret === undefined ? undefined : { user, password: secret };
      const mail = { to, from, subject: `[FIRING] ${alert.labels.severity}: ${alert.labels.alertname}`, text };
      return sendMail({ server, tls, login, timeout: patience }, mail);
    }
  }
}

async function post(name: string, url: string, body: object): Promise<void> {
  let status: number;
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      redirect: 'error',
      signal: AbortSignal.timeout(patience),
    });
    await response.body?.cancel();
    status = response.status;
  } catch (cause) {
    throw new ApplianceError('step_failed', `${name} cannot be reached`, { cause });
  }
  if (status >= 300) throw new ApplianceError('step_failed', `${name} answered ${status}`);
}
