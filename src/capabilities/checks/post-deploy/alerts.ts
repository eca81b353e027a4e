import { count } from '../../../lib/text.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';

export interface AlertHands {
  /** Receivers that appliance.yaml names. */
  readonly receivers: number;
  readonly view: (signal: AbortSignal) => Promise<{
    /** Null: there is none; otherwise why it does not answer. */
    readonly alertmanager: { readonly problem: string | null } | null;
    readonly alerts: readonly { readonly name: string; readonly severity: string; readonly state: string }[];
  }>;
  /** By channel, since Alertmanager started. */
  readonly notifications: () => readonly {
    readonly channel: string;
    readonly accepted: number;
    readonly refused: number;
  }[];
}

/** Whoever should hear of a failure would: the way is open and was used (S1-60, S2-40). */
export function alertsCheck({ receivers, view, notifications }: AlertHands): Check {
  return {
    id: 'post-deploy.alerts',
    group: 'post-deploy',
    requirement: ['S1-60', 'S2-40'],
    about: 'alerts reach somebody',
    expected: 'Alertmanager answers and notifications are accepted',
    hint: 'prove every receiver: appliance alerts test',
    look: async (signal) => {
      const { alertmanager } = await view(signal);
      if (receivers === 0)
        return fail('appliance.yaml names no receiver', { hint: 'write the section alerts into appliance.yaml' });
      if (!alertmanager) return fail('there is no Alertmanager', { hint: 'add the section monitoring' });
      if (alertmanager.problem !== null) return fail(`Alertmanager does not answer: ${alertmanager.problem}`);
      const sent = notifications();
      const refused = sent.filter((one) => one.refused > 0);
      if (refused.length > 0) {
        const words = refused.map((one) => `${one.channel} refused ${one.refused} of ${one.refused + one.accepted}`);
        return fail(words.join(', '));
      }
      const accepted = sent.reduce((sum, one) => sum + one.accepted, 0);
      return accepted > 0
        ? pass(`${count(accepted, 'notification')} accepted`, { samples: accepted })
        : inconclusive('nothing was sent since Alertmanager started', { samples: 0, needed: 1 });
    },
  };
}

/** Nothing that somebody should have been told of goes on (S1-60). */
export function quietCheck({ view }: AlertHands): Check {
  return {
    id: 'post-deploy.quiet',
    group: 'post-deploy',
    requirement: ['S1-60'],
    about: 'alerts that go on',
    expected: 'none that is critical',
    hint: 'appliance alerts',
    look: async (signal) => {
      const { alerts } = await view(signal);
      const critical = alerts.filter(({ severity, state }) => severity === 'critical' && state !== 'inhibited');
      return critical.length > 0
        ? fail([...new Set(critical.map(({ name }) => name))].join(', '))
        : pass(alerts.length === 0 ? 'none' : `${count(alerts.length, 'alert')}, none critical`);
    },
  };
}
