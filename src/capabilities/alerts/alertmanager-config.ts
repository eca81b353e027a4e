import { stringify } from 'yaml';
import { type AlertsConfig, type ReceiverConfig, severities } from '../../config/alerts.ts';
import { marks, watchdogName } from './labels.ts';

/** Receiver of what nobody asked to be told. */
const nobody = 'none';

export interface AlertmanagerRequest {
  readonly alerts: AlertsConfig;
  /** Receivers of whoever is on call now. */
  readonly onCall: readonly string[];
  /** Directory with a file per receiver that has a secret, as Alertmanager sees it. */
  readonly secretDirectory: string;
}

interface Route {
  readonly receiver?: string;
  readonly matchers?: readonly string[];
  readonly continue?: boolean;
  readonly group_by?: readonly string[];
  readonly group_wait?: string;
  readonly group_interval?: string;
  readonly repeat_interval?: string;
  readonly routes?: readonly Route[];
}

/**
 * The text of alertmanager.yml. Pure. It names files with secrets and holds none, so it may be shown.
 *
 * `group_wait` is 5 s: of the minute that S1-42 allows, the rules take 30 to 40 s. An alert that joins a group which was
 * told a moment ago waits for `group_interval` instead, so that is short too; it says nothing anew while nothing changes.
 */
export function alertmanagerConfig({ alerts, onCall, secretDirectory }: AlertmanagerRequest): string {
  return stringify(
    {
      global: { resolve_timeout: '5m' },
      route: {
        receiver: nobody,
        group_by: ['alertname', 'service'],
        group_wait: '5s',
        group_interval: '15s',
        repeat_interval: seconds(alerts.repeat),
        routes: [
          ...testRoutes(alerts),
          deadmanRoute(alerts),
          ...escalationRoutes(alerts),
          ...severityRoutes(alerts, onCall),
        ],
      },
      inhibit_rules: inhibitions,
      receivers: [
        { name: nobody },
        ...Object.entries(alerts.receivers).map(([name, receiver]) => ({
          name,
          [`${receiver.type}_configs`]: [
            { send_resolved: true, ...integration(receiver, `${secretDirectory}/${name}`) },
          ],
        })),
      ],
    },
    { lineWidth: 0 },
  );
}

/** A test alert goes to the one receiver that it names, at once. */
function testRoutes({ receivers }: AlertsConfig): Route[] {
  return Object.keys(receivers).map((receiver) => ({
    matchers: [matcher(marks.test, receiver)],
    receiver,
    group_by: ['...'],
    group_wait: '0s',
  }));
}

/** The alert that always fires is told every minute to whoever listens for its absence. */
function deadmanRoute({ deadman }: AlertsConfig): Route {
  return {
    matchers: [matcher('alertname', watchdogName)],
    receiver: deadman ?? nobody,
    group_wait: '0s',
    group_interval: '1m',
    repeat_interval: '1m',
  };
}

function escalationRoutes({ escalation }: AlertsConfig): Route[] {
  return escalation.map(({ to }, index) => ({
    matchers: [matcher(marks.escalation, String(index + 1))],
    receiver: nobody,
    group_by: ['alertname', 'service', marks.escalation],
    routes: toAll(to),
  }));
}

function severityRoutes(alerts: AlertsConfig, onCall: readonly string[]): Route[] {
  return severities.map((severity) => ({
    matchers: [matcher('severity', severity)],
    receiver: nobody,
    routes: toAll(severity === 'critical' ? [...alerts.critical, ...onCall] : alerts[severity]),
  }));
}

/** One branch for each receiver: a receiver that refuses does not keep the others from being told. */
function toAll(receivers: readonly string[]): Route[] {
  return [...new Set(receivers)].map((receiver) => ({ receiver, continue: true }));
}

const milder = 'severity=~"warning|info"';
const inhibitions = [
  // Of one alert with two thresholds, the worse is enough.
  { source_matchers: ['severity="critical"'], target_matchers: [milder], equal: ['alertname', 'service', 'release'] },
  // A service that is down is slow and wrong as well.
  {
    source_matchers: ['severity="critical"', 'alertname=~".+Down"', 'service=~".+"'],
    target_matchers: [milder, 'service=~".+"'],
    equal: ['service'],
  },
];

const title = '[{{ .Status | toUpper }}] {{ .CommonLabels.severity }}: {{ .CommonLabels.alertname }}';
const text = '{{ range .Alerts }}{{ .Annotations.summary }}{{ with .Annotations.hint }} ({{ . }}){{ end }}\n{{ end }}';

function integration(receiver: ReceiverConfig, secretFile: string): Record<string, unknown> {
  switch (receiver.type) {
    case 'webhook':
      return receiver.urlFile === undefined ? { url: receiver.url } : { url_file: secretFile };
    case 'slack':
      return { api_url_file: secretFile, ...(receiver.channel ? { channel: receiver.channel } : {}), title, text };
    case 'pagerduty':
      return {
        routing_key_file: secretFile,
        ...(receiver.url ? { url: receiver.url } : {}),
        description: title,
        severity: '{{ .CommonLabels.severity }}',
      };
    case 'email':
      return {
        to: receiver.to?.join(', '),
        from: receiver.from,
        smarthost: receiver.server,
        require_tls: receiver.tls,
        headers: { Subject: title },
        text,
        ...(receiver.user ? { auth_username: receiver.user, auth_password_file: secretFile } : {}),
      };
  }
}

function matcher(label: string, value: string): string {
  return `${label}="${value}"`;
}

/** @param ms milliseconds */
function seconds(ms: number): string {
  return `${Math.max(1, Math.round(ms / 1_000))}s`;
}
