import type { AlertsConfig } from '../../config/alerts.ts';
import type { Alertmanager, HeldAlert, Matcher, Silence } from '../../host/alertmanager.ts';
import { type Clock, timestamp } from '../../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../../lib/errors.ts';
import { didYouMean } from '../../lib/near.ts';
import { marks } from './labels.ts';
import type { OwnAlerts } from './own-alerts.ts';
import { type OnCall, onCall } from './rota.ts';
import { acknowledgement, type ShownAlert, shownAlerts } from './view.ts';

export interface DeskDeps {
  readonly alerts: AlertsConfig | undefined;
  /** Undefined where none is configured. */
  readonly alertmanager: Alertmanager | undefined;
  readonly own: OwnAlerts;
  readonly clock: Clock;
}

/** Everything that fires, who is told of it, and what has been silenced. */
export interface AlertsView {
  /** Null where none is configured; then only the agent's own alerts exist, and nobody is told of them. */
  readonly alertmanager: { readonly address: string; readonly problem: string | null } | null;
  readonly onCall: OnCall | null;
  readonly alerts: readonly ShownAlert[];
  readonly silences: readonly ShownSilence[];
}

export interface ShownSilence {
  readonly id: string;
  /** `alertname="BackendDown" service="backend"` */
  readonly matchers: string;
  readonly by: string;
  readonly comment: string;
  readonly until: string;
}

interface Held {
  readonly alerts: readonly HeldAlert[];
  readonly silences: readonly Silence[];
}

/** What people do with alerts: look, silence, acknowledge. */
export class AlertDesk {
  readonly #deps: DeskDeps;

  constructor(deps: DeskDeps) {
    this.#deps = deps;
  }

  /** Never throws: an Alertmanager that does not answer is part of what is shown. */
  async view(signal?: AbortSignal): Promise<AlertsView> {
    const { alerts, alertmanager, own, clock } = this.#deps;
    const now = clock.now();
    let held: Held | undefined;
    let problem: string | null = null;
    try {
      held = alertmanager && (await this.#held(alertmanager, signal));
    } catch (error) {
      problem = asApplianceError(error).message;
    }
    return {
      alertmanager: alertmanager ? { address: alertmanager.address, problem } : null,
      onCall: alerts?.rota ? onCall(alerts.rota, now) : null,
      alerts: shownAlerts(held, own.active(now), now),
      silences: (held?.silences ?? []).filter(({ state }) => state !== 'expired').map(shownSilence),
    };
  }

  /**
   * Somebody looks after an alert: it is not told again and not escalated until then.
   * @param which id of the alert or the first digits of it, or its name
   * @param until milliseconds since 1970
   * @throws ApplianceError `alert_not_found` with near matches
   */
  async acknowledge(which: string, by: string, until: number, comment: string): Promise<ShownAlert[]> {
    const { alertmanager, own } = this.#deps;
    const { alerts, alertmanager: state } = await this.view();
    const chosen = this.#choose(which, alerts);
    const there = state !== null && state.problem === null ? alertmanager : undefined;
    for (const { id, labels, source } of chosen) {
      if (source === 'agent') own.acknowledge(id, { by, until, comment });
      await there?.silence({
        matchers: matchersOf(labels),
        createdBy: by,
        comment: `${acknowledgement}${comment}`,
        startsAt: timestamp(this.#deps.clock.now()),
        endsAt: timestamp(until),
      });
    }
    return chosen;
  }

  /**
   * Keeps alerts with given labels from being told.
   * @param matchers `service=backend`, `alertname=~"Disk.*"`
   * @returns the id of the silence
   * @throws ApplianceError `usage`, `alerts_off`, `alertmanager_unreachable`
   */
  async silence(matchers: readonly string[], by: string, until: number, comment: string): Promise<ShownSilence> {
    const parsed = matchers.map(parseMatcher);
    const alertmanager = this.required();
    const silence = {
      matchers: parsed,
      createdBy: by,
      comment,
      startsAt: timestamp(this.#deps.clock.now()),
      endsAt: timestamp(until),
    };
    const id = await alertmanager.silence(silence);
    return shownSilence({ ...silence, id, state: 'active' });
  }

  /** Ends a silence or an acknowledgement. @param which its id, or the first digits of it */
  async unsilence(which: string): Promise<ShownSilence> {
    const alertmanager = this.required();
    const silences = (await alertmanager.silences()).filter(({ state }) => state !== 'expired');
    const silence = silences.find(({ id }) => id.startsWith(which));
    if (!silence || which === '') {
      throw new ApplianceError('alert_not_found', `there is no silence ${which}`, {
        left: 'nothing was touched',
        hint: 'appliance alerts lists them',
      });
    }
    await alertmanager.expire(silence.id);
    return shownSilence(silence);
  }

  /** @throws ApplianceError `alerts_off` */
  required(): Alertmanager {
    const { alertmanager } = this.#deps;
    if (alertmanager) return alertmanager;
    throw new ApplianceError('alerts_off', 'no Alertmanager is configured', {
      left: "the agent's own alerts are kept and shown by appliance alerts",
      hint: 'write the sections monitoring and alerts into appliance.yaml (docs/guide/alerts.md)',
    });
  }

  async #held(alertmanager: Alertmanager, signal: AbortSignal | undefined): Promise<Held> {
    const [alerts, silences] = await Promise.all([alertmanager.alerts(signal), alertmanager.silences(signal)]);
    return { alerts, silences };
  }

  #choose(which: string, alerts: readonly ShownAlert[]): ShownAlert[] {
    const chosen = alerts.filter(({ id, name }) => name === which || (which.length >= 4 && id.startsWith(which)));
    if (chosen.length > 0) return chosen;
    const near = didYouMean(
      which,
      alerts.map(({ name }) => name),
    );
    const firing = [...new Set(alerts.map(({ name }) => name))].join(', ');
    throw new ApplianceError('alert_not_found', `no alert ${which} fires`, {
      left: 'nothing was touched',
      hint: near ?? (firing === '' ? 'nothing fires' : `what fires: ${firing}`),
    });
  }
}

/** All labels of an alert, so that its escalations (which have them too) are meant and no other alert is. */
function matchersOf(labels: Readonly<Record<string, string>>): Matcher[] {
  return Object.entries(labels)
    .filter(([name]) => name !== marks.escalation)
    .map(([name, value]) => ({ name, value, isRegex: false, isEqual: true }));
}

/** @throws ApplianceError `usage` */
function parseMatcher(text: string): Matcher {
  const [, name, operator, raw] = /^([a-zA-Z_][a-zA-Z0-9_]*)(=~|!~|!=|=)(.+)$/.exec(text) ?? [];
  if (name === undefined || operator === undefined || raw === undefined) {
    throw new ApplianceError('usage', `"${text}" is no matcher`, {
      left: 'nothing was touched',
      hint: 'write LABEL=VALUE, for example service=backend or alertname=~"Disk.*"',
    });
  }
  const value = raw.replace(/^"(.*)"$/, '$1');
  return { name, value, isRegex: operator.endsWith('~'), isEqual: operator.startsWith('=') };
}

function shownSilence({ id, matchers, createdBy, comment, endsAt }: Silence): ShownSilence {
  return {
    id,
    matchers: matchers
      .map(({ name, value, isRegex, isEqual }) => `${name}${operatorOf(isEqual, isRegex)}"${value}"`)
      .join(' '),
    by: createdBy,
    comment,
    until: new Date(endsAt).toISOString(),
  };
}

function operatorOf(isEqual: boolean, isRegex: boolean): string {
  if (isEqual) return isRegex ? '=~' : '=';
  return isRegex ? '!~' : '!=';
}
