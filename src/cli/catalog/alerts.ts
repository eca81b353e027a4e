import { comment, detach, wait } from './shared.ts';
import type { VerbSpec } from './spec.ts';

/** Verbs about alerts. */
export const alertsVerbs = {
  alerts: {
    summary: 'what fires, who is on call, what is silenced',
    group: 'alerts',
    gate: 'look',
    about:
      "From Alertmanager and from the agent itself. Where no Alertmanager runs or answers, the agent's own alerts are shown.",
    examples: ['appliance alerts', 'appliance alerts --json'],
  },
  'alerts list': { summary: 'the same as alerts', group: 'alerts', gate: 'look' },
  'alerts test': {
    summary: 'send a test alert through every receiver and prove that it is accepted',
    group: 'alerts',
    gate: 'act',
    args: [{ name: 'receiver', many: true, help: 'only these receivers; default: all' }],
    about:
      "Goes by Alertmanager's own counters of deliveries: a wrong password or a server that refuses is a fail. Exit status 0, 3 or 4 for the verdict pass, fail or inconclusive.",
    examples: ['appliance alerts test', 'appliance alerts test mail'],
  },
  'alerts drill': {
    summary: 'stop a service, prove that somebody is told within a minute, start it again',
    group: 'alerts',
    gate: 'act',
    args: [{ name: 'service', completes: 'service', help: 'an app service; default: the one of the first route' }],
    options: { detach, wait },
    about:
      'Users get errors while it runs; asks for the name of the service. The latency of each receiver is measured from the stop. The service is started again whatever happens, also when the agent is killed. Exit status 3 when nobody was told in time.',
    examples: ['appliance alerts drill backend', 'appliance alerts drill backend --yes --json'],
  },
  'alerts silence': {
    summary: 'keep alerts with given labels from being told',
    group: 'alerts',
    gate: 'act',
    args: [{ name: 'matcher', many: true, help: 'LABEL=VALUE, also !=, =~ and !~; all must match' }],
    options: { for: { value: 'DURATION', help: 'for how long; default: 1h' }, comment },
    examples: ['appliance alerts silence service=backend --for 30m --comment "disk is being replaced"'],
  },
  'alerts unsilence': {
    summary: 'end a silence or an acknowledgement',
    group: 'alerts',
    gate: 'act',
    args: [{ name: 'silence', required: true, help: 'its id, or the first digits of it' }],
  },
  'alerts raise': {
    summary: 'tell of what only a person can see: an incident, complaints',
    group: 'alerts',
    gate: 'act',
    args: [{ name: 'condition', required: true, help: 'its id in a policy (byHand); config policies lists them' }],
    options: { comment },
    about:
      'It goes the way of every other alert and fires until alerts resolve. With an action that is a rollback it says how to go back; it does not do so by itself.',
    examples: ['appliance alerts raise S4-31 --comment "tokens in a public paste"'],
  },
  'alerts resolve': {
    summary: 'say that what somebody has raised is over',
    group: 'alerts',
    gate: 'act',
    args: [{ name: 'condition', required: true, help: 'the id that it was raised by' }],
    examples: ['appliance alerts resolve S4-31'],
  },
  'alerts ack': {
    summary: 'say that you look after an alert: it is neither repeated nor escalated',
    group: 'alerts',
    gate: 'act',
    args: [{ name: 'alert', required: true, help: 'its id, the first digits of it, or its name' }],
    options: { for: { value: 'DURATION', help: 'for how long; default: 4h' }, comment },
    examples: ['appliance alerts ack BackendDown --comment "on it"'],
  },
} as const satisfies Record<string, VerbSpec>;
