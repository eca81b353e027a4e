import { count } from '../../../lib/text.ts';
import type { Evidence, EvidenceTypes } from '../evidence.ts';
import { bringBack, engineDown, stopped } from '../shared.ts';
import { advice, type Cause, fact, type Symptom, shown, when } from '../symptom.ts';

const test = advice('appliance alerts test', 'sends a test through each receiver and says what became of it');

/** Something was wrong and nobody was told (S0-57, S1-42). */
export const alertSilent: Symptom = {
  name: 'alert-silent',
  title: 'something is wrong and nobody is told',
  words: ['alerts', 'alert', 'no-alert', 'notifications', 'silent', 'monitoring'],
  requirement: ['S0-57', 'S1-42', 'S2-40'],
  looks: ['alerting', 'agent', 'engine', 'services', 'configuration'],
  aids: ['edge', 'logs'],
  judge: (evidence) => [
    ...engineDown(evidence),
    ...when(evidence, 'services', (services) =>
      stopped(
        services.filter(({ service }) => service === 'prometheus' || service === 'alertmanager'),
        evidence,
      ),
    ),
    ...when(evidence, 'alerting', (alerting) => [
      ...nobodyToTell(alerting),
      ...cannotTell(alerting),
      ...blind(alerting),
    ]),
    ...noAgent(evidence),
  ],
  byHand: [
    test,
    advice('appliance alerts drill', 'stops a service and proves that somebody is told within a minute'),
    advice('appliance alerts', 'what fires, who is told of it, and what is silenced'),
  ],
};

type Alerting = EvidenceTypes['alerting'];

function nobodyToTell({ receivers, alertmanager, silences }: Alerting): Cause[] {
  const causes: Cause[] = [];
  if (receivers === 0 || alertmanager === null)
    causes.push({
      id: 'alerts-off',
      summary: receivers === 0 ? 'appliance.yaml names nobody who could be told' : 'no Alertmanager is configured',
      confidence: 'certain',
      evidence: [
        fact(
          'alerting',
          `${count(receivers, 'receiver')}, ${alertmanager === null ? 'no Alertmanager' : alertmanager.address}`,
        ),
      ],
      remedies: [
        advice(
          'appliance config check',
          'after the sections alerts and monitoring were written (docs/guide/alerts.md)',
        ),
      ],
    });
  if (silences.length > 0)
    causes.push({
      id: 'alerts-silenced',
      summary: 'alerts are silenced',
      confidence: 'possible',
      evidence: silences.slice(0, 4).map(({ matchers, until }) => fact('alerting', `${matchers} until ${until}`)),
      remedies: silences
        .slice(0, 2)
        .map(({ id }) => advice(`appliance alerts unsilence ${id.slice(0, 8)}`, 'ends the silence')),
    });
  return causes;
}

function cannotTell({ alertmanager, refused }: Alerting): Cause[] {
  const causes: Cause[] = [];
  if (alertmanager?.problem)
    causes.push({
      id: 'alertmanager-down',
      summary: 'Alertmanager does not answer, so nobody is told',
      confidence: 'certain',
      evidence: [fact('alerting', alertmanager.problem)],
      remedies: [bringBack, advice('appliance logs alertmanager --tail 100', 'why it ended')],
    });
  for (const { channel, refused: lost, accepted } of refused)
    if (lost > 0)
      causes.push({
        id: `notifications-refused:${channel}`,
        summary: `${channel} refuses notifications`,
        confidence: accepted === 0 ? 'certain' : 'likely',
        evidence: [
          fact('alerting', `${count(lost, 'notification')} refused, ${accepted} accepted since Alertmanager started`),
        ],
        remedies: [test, advice('appliance logs alertmanager --tail 100', 'the words in which it is refused')],
      });
  return causes;
}

/** Nobody measures, so nothing can fire. */
function blind({ prometheus, down }: Alerting): Cause[] {
  const causes: Cause[] = [];
  if (prometheus?.problem)
    causes.push({
      id: 'prometheus-down',
      summary: 'Prometheus does not answer, so nothing is measured',
      confidence: 'certain',
      evidence: [fact('alerting', prometheus.problem)],
      remedies: [bringBack, advice('appliance logs prometheus --tail 100', 'why')],
    });
  else if (prometheus && !prometheus.rules)
    causes.push({
      id: 'rules-absent',
      summary: 'Prometheus evaluates no rule, so nothing can fire',
      confidence: 'certain',
      evidence: [fact('alerting', 'it knows no alerting rule')],
      remedies: [bringBack, advice('appliance config policies', 'the policies that monitoring.policies may name')],
    });
  if (down.length > 0)
    causes.push({
      id: 'targets-down',
      summary: 'Prometheus cannot read what some alerts are raised by',
      confidence: 'likely',
      evidence: [fact('alerting', down.slice(0, 6).join(', '))],
      remedies: [advice('appliance doctor 502', 'whether those services answer at all')],
    });
  return causes;
}

/** Backups, certificates and the disk are watched by the agent. */
function noAgent(evidence: Evidence): Cause[] {
  if (shown(evidence, 'agent')?.running !== false) return [];
  return [
    {
      id: 'agent-down',
      summary: 'no agent runs: it watches backups, certificates, models and the disk',
      confidence: 'likely',
      evidence: [fact('agent', shown(evidence, 'agent')?.problem ?? 'nobody listens on its socket')],
      remedies: [advice('systemctl start appliance', 'without systemd: /opt/appliance/bin/appliance-start')],
    },
  ];
}
