import { z } from 'zod';
import type { AlertsConfig } from '../../config/alerts.ts';
import type { Alertmanager, HeldAlert } from '../../host/alertmanager.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { formatDuration } from '../../lib/units.ts';
import { defineStep, type StepContext } from '../../operations/step.ts';
import { marks, testName, watchdogName } from './labels.ts';
import { mentions } from './mentions.ts';
import { delivered } from './receipt.ts';

/** Milliseconds between two looks. */
const pause = 250;

export interface DrillDeps {
  readonly alerts: AlertsConfig | undefined;
  /** @throws ApplianceError `alerts_off` */
  readonly alertmanager: () => Alertmanager;
  /**
   * Whether Alertmanager says that a receiver has accepted a notification of this very alert since a time (milliseconds
   * since 1970); undefined where its log cannot be read: then its counters must do, which do not tell alerts apart.
   */
  readonly accepted: (receiver: string, alert: HeldAlert, since: number) => Promise<boolean | undefined>;
  /** When the first container of a service was stopped, in milliseconds since 1970; undefined while all run. */
  readonly stoppedAt: (service: string) => Promise<number | undefined>;
}

/** Whether a drill can prove anything: somebody is to be told, and nothing about the service fires or is silenced yet. */
export function checkAlerting({ alerts, alertmanager }: DrillDeps) {
  return defineStep({
    action: 'check-alerting',
    args: z.object({ service: z.string() }),
    apply: async ({ service }, { signal }) => {
      const told = alerts ? [...alerts.critical, ...(alerts.rota?.people.flatMap((one) => one.receivers) ?? [])] : [];
      if (told.length === 0)
        throw refused('alerts_off', 'nobody is told of critical alerts', 'name receivers under alerts.critical');
      const manager = alertmanager();
      const known = await manager.receivers(signal);
      const absent = told.filter((name) => !known.includes(name));
      if (absent.length > 0) {
        const what = `Alertmanager does not know ${[...new Set(absent)].join(', ')} yet`;
        throw refused('alertmanager_unreachable', what, 'wait a minute, then look at: appliance alerts');
      }
      const firing = (await manager.alerts(signal)).filter((alert) => isAbout(alert, service));
      if (firing.length > 0) {
        const what = `${nameOf(firing[0])} about ${service} fires already, so a drill would prove nothing`;
        throw refused('step_failed', what, 'appliance alerts');
      }
      return `${told.length} receivers are to be told`;
    },
  });
}

/** Waits until an alert about the stopped service fires and every receiver of it has accepted the notification (S1-42). */
export function awaitReceipt({ alerts, alertmanager, accepted, stoppedAt }: DrillDeps) {
  return defineStep({
    action: 'await-receipt',
    args: z.object({
      service: z.string(),
      /** Milliseconds from the stop to the receipt. */ limit: z.number().positive(),
    }),
    apply: async ({ service, limit }, context) => {
      const manager = alertmanager();
      const before = await manager.deliveries(context.signal);
      const stopped = (await stoppedAt(service)) ?? context.clock.now();
      const waited = () => context.clock.now() - stopped;
      const late = (what: string) => {
        const within = `${formatDuration(limit)} after the stop of ${service}`;
        return new ApplianceError('verdict_fail', `${what} ${within}`, {
          hint: 'appliance alerts test; appliance logs alertmanager',
        });
      };
      const alert = await firstAlert(manager, service, context, () => waited() < limit);
      if (!alert) throw late('no alert fired within');
      const fired = formatDuration(waited());
      const receivers = alert.receivers.flatMap((name) => {
        const type = alerts?.receivers[name]?.type;
        return type ? [{ name, type }] : [];
      });
      if (receivers.length === 0) throw late(`${nameOf(alert)} fires, but no receiver is told of it`);
      const open = new Map(receivers.map((receiver) => [receiver.name, receiver]));
      const proofs: string[] = [];
      for (;;) {
        const after = await manager.deliveries(context.signal);
        for (const receiver of open.values()) {
          const counted = delivered(before, after, receiver).accepted > 0;
          if (!counted || (await accepted(receiver.name, alert, stopped)) === false) continue;
          proofs.push(`${receiver.name} (${receiver.type}) after ${formatDuration(waited())}`);
          open.delete(receiver.name);
        }
        if (open.size === 0) return `${nameOf(alert)} fired after ${fired} and was accepted by ${proofs.join(', ')}`;
        if (waited() >= limit) {
          const refusals = [...open.values()].filter((receiver) => delivered(before, after, receiver).refused > 0);
          const how = refusals.length > 0 ? 'was refused by' : 'was not accepted by';
          throw late(`${nameOf(alert)} fired after ${fired}, but ${how} ${[...open.keys()].join(', ')} within`);
        }
        context.progress(`${nameOf(alert)} fires; waiting for ${[...open.keys()].join(', ')}`);
        await context.clock.sleep(pause, context.signal);
      }
    },
  });
}

async function firstAlert(
  manager: Alertmanager,
  service: string,
  context: StepContext,
  goOn: () => boolean,
): Promise<HeldAlert | undefined> {
  while (goOn()) {
    const about = (await manager.alerts(context.signal)).filter((alert) => isAbout(alert, service));
    const told = about.find(({ state, labels }) => state === 'active' && labels.severity === 'critical');
    if (told) return told;
    context.progress(about.length > 0 ? `${nameOf(about[0])} is ${about[0]?.state}` : 'no alert yet');
    await context.clock.sleep(pause, context.signal);
  }
  return undefined;
}

function isAbout({ labels }: HeldAlert, service: string): boolean {
  const ours = labels.alertname === watchdogName || labels.alertname === testName || marks.escalation in labels;
  return !ours && mentions(labels, service);
}

function nameOf(alert: HeldAlert | undefined): string {
  return alert?.labels.alertname ?? 'an alert';
}

function refused(
  code: 'alerts_off' | 'alertmanager_unreachable' | 'step_failed',
  what: string,
  hint: string,
): ApplianceError {
  return new ApplianceError(code, what, { left: 'nothing was stopped', hint });
}
