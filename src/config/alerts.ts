import { z } from 'zod';
import { durationPattern, parseDuration } from '../lib/units.ts';

/** Severities of alerts, the worst first (S4-28, S4-33, S4-37). */
export const severities = ['critical', 'warning', 'info'] as const;
export type Severity = (typeof severities)[number];

/** Ways a notification can go (S0-57, S0-61, S2-43). Each is an integration of Alertmanager under the same name. */
const channels = ['webhook', 'slack', 'pagerduty', 'email'] as const;
export type Channel = (typeof channels)[number];

const duration = z.string().regex(durationPattern, 'write a duration such as 30s, 15m or 4h').transform(parseDuration);
const secretFile = z.string().startsWith('/', 'write an absolute path on this host');
const receiverName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,30}$/, 'use lower-case letters, digits and dashes, starting with a letter, at most 31')
  .refine((name) => name !== 'none', 'this name means nobody; choose another');
const address = z.email('write an e-mail address');

const receiver = z.strictObject({
  type: z.enum(channels).describe('webhook, slack, pagerduty (Events API v2) or email'),
  url: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe(
      'webhook: where to post; use urlFile when it holds a secret. pagerduty: where it takes events, for its European region or a proxy',
    ),
  urlFile: secretFile
    .optional()
    .describe('webhook and slack: file with the address to post to (mode 0600; an incoming webhook is a secret)'),
  channel: z.string().startsWith('#').optional().describe('slack: the channel, for example "#alerts"'),
  keyFile: secretFile.optional().describe('pagerduty: file with the routing key (mode 0600)'),
  to: z.array(address).min(1).optional().describe('email: who gets it'),
  from: address.optional().describe('email: the sender'),
  server: z
    .string()
    .regex(/^[^\s:/]+:\d{1,5}$/, 'write HOST:PORT, for example mail.example.com:587')
    .optional()
    .describe('email: the SMTP server'),
  user: z.string().min(1).optional().describe('email: who to log in as; without one no login is tried'),
  passwordFile: secretFile.optional().describe('email: file with the password (mode 0600)'),
  tls: z
    .boolean()
    .default(true)
    .describe('email: refuse to send without encryption; false only for a relay on this host'),
});
export type ReceiverConfig = z.output<typeof receiver>;

const receivers = z.array(receiverName).default([]);

const rota = z.strictObject({
  start: z.iso.date('write a date such as 2026-01-05').describe('day on which the first person begins'),
  at: z
    .string()
    .regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'write HH:MM')
    .default('09:00')
    .describe('time of day at which the next person takes over, every week'),
  zone: z.string().refine(isZone, 'write a time zone such as Europe/Berlin').default('UTC').describe('time zone of it'),
  people: z
    .array(
      z.strictObject({
        name: z.string().min(1).describe('who it is, for people'),
        receivers: z.array(receiverName).min(1).describe('how to reach them'),
      }),
    )
    .min(1)
    .describe('who is on call, each for a week, in this order'),
});
export type RotaConfig = z.output<typeof rota>;

const escalation = z.strictObject({
  after: duration.describe('how long a critical alert may stay unanswered'),
  to: z.array(receiverName).min(1).describe('receivers that are told then'),
});

/** The section `alerts:` of appliance.yaml. */
export const alertsSchema = z
  .strictObject({
    receivers: z.record(receiverName, receiver).describe('where notifications go, each under a name'),
    critical: receivers.describe('receivers of critical alerts; whoever is on call gets them too'),
    warning: receivers.describe('receivers of warnings'),
    info: receivers.describe('receivers of news, such as finished deploys'),
    rota: rota.optional().describe('weekly on-call rota (S0-61)'),
    escalation: z
      .array(escalation)
      .default([])
      .describe('who else is told of a critical alert that nobody acknowledges (S0-61: after 15m, 30m)'),
    repeat: duration.prefault('4h').describe('how often an alert that goes on is told again'),
    deadman: receiverName
      .optional()
      .describe('receiver that is told every minute that monitoring is alive; its silence is the alarm'),
    alertmanager: z
      .url({ protocol: /^https?$/ })
      .optional()
      .describe('address of an Alertmanager that is run elsewhere; default: the one of the core stack'),
  })
  .describe('who is told of what, and how (docs/guide/alerts.md)');
export type AlertsConfig = z.output<typeof alertsSchema>;

function isZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
