import { readSecrets } from '../../config/alert-secrets.ts';
import type { AlertsConfig } from '../../config/alerts.ts';
import type { Alertmanager, DeliveryCount, PostedAlert } from '../../host/alertmanager.ts';
import { type Clock, timestamp } from '../../lib/clock.ts';
import { asApplianceError, messageOf } from '../../lib/errors.ts';
import { escalations } from './escalation.ts';
import { type DiskSample, diskAlert } from './forecast.ts';
import { installConfiguration } from './install.ts';
import { tellDirectly } from './messenger.ts';
import type { AlertDraft, OwnAlert, OwnAlerts } from './own-alerts.ts';
import { onCall } from './rota.ts';
import { type ServiceState, ServiceWatch } from './services.ts';
import { hasWatchdog, monitoringAlert, silenceLimit } from './watchdog.ts';

/** Milliseconds between two readings of the disk, between two looks at the configuration. */
const minute = 60_000;
/** Readings of the disk that are kept: six hours. */
const keptSamples = 360;
/** How long an alert of ours lives in Alertmanager without being handed in again, in milliseconds. */
const outlives = 300_000;

export interface SentryDeps {
  readonly alerts: AlertsConfig;
  /** Undefined where none is configured. */
  readonly alertmanager: Alertmanager | undefined;
  /** Where Alertmanager of the core stack reads its configuration; undefined for one that is run elsewhere. */
  readonly directory: string | undefined;
  /** Whether a Prometheus is to send the alert that always fires. */
  readonly expectsWatchdog: boolean;
  readonly own: OwnAlerts;
  readonly clock: Clock;
  /** The file system that must not fill up. */
  readonly disk: { readonly directory: string; readonly freeBytes: () => Promise<number> };
  /** The services that users need; undefined while an operation changes them. */
  readonly services: () => readonly ServiceState[] | undefined;
}

/**
 * What the agent does for alerting, round after round: keeps Alertmanager's configuration as appliance.yaml and the rota
 * say, hands in what it noticed itself, escalates what nobody answers, and notices when monitoring itself is dead.
 */
export class Sentry {
  readonly #deps: SentryDeps;
  readonly #samples: DiskSample[] = [];
  readonly #services: ServiceWatch;
  #answered: number;
  #watchdog: number;
  #problem: string | undefined;
  /** Rules are evaluated, as far as is known. */
  #watched: boolean;
  #installed = Number.NEGATIVE_INFINITY;
  /** The files are newer than what Alertmanager has read. */
  #stale = false;
  #sampled = Number.NEGATIVE_INFINITY;
  /** Until when Alertmanager knows what has ended. */
  #handedIn: number;
  #deliveries: readonly DeliveryCount[] = [];
  #told = { directly: false, at: Number.NEGATIVE_INFINITY };

  constructor(deps: SentryDeps) {
    this.#deps = deps;
    const now = deps.clock.now();
    this.#answered = now;
    this.#watchdog = now;
    this.#watched = deps.expectsWatchdog;
    this.#handedIn = now;
    this.#services = new ServiceWatch(deps.own);
  }

  /** What Alertmanager has delivered and what not, as it last said. */
  get deliveries(): readonly DeliveryCount[] {
    return this.#deliveries;
  }

  /** One round. Never throws: what goes wrong becomes an alert. */
  async round(signal?: AbortSignal): Promise<void> {
    const { clock, alertmanager, expectsWatchdog } = this.#deps;
    await this.#forecast(clock.now());
    if (this.#stale || clock.now() - this.#installed >= minute) await this.install(true);
    // Where rules are evaluated they tell of services; where not, nobody else would.
    if (this.#watched) this.#services.leave(clock.now());
    else this.#services.look(this.#deps.services(), clock.now());
    if (!alertmanager) return;
    this.#watched = await this.#exchange(alertmanager, signal);
    if (signal?.aborted) return;
    const now = clock.now();
    const watchdog = expectsWatchdog ? this.#watchdog : null;
    const dead = monitoringAlert({ answered: this.#answered, watchdog, problem: this.#problem }, now);
    this.#set('MonitoringDead', dead, now);
    if (dead?.labels?.service === 'alertmanager') await this.#tellWithoutIt(now);
    else this.#told = { directly: false, at: Number.NEGATIVE_INFINITY };
  }

  /** Tells the receivers of critical alerts, once, that Alertmanager is dead; tries again until one of them accepts it. */
  async #tellWithoutIt(now: number): Promise<void> {
    const { alerts, own } = this.#deps;
    const alert = own.active(now).find(({ labels }) => labels.alertname === 'MonitoringDead');
    if (!alert || this.#told.directly || now - this.#told.at < minute) return;
    this.#told = { directly: false, at: now };
    try {
      const secrets = await readSecrets(alerts);
      const names = [...alerts.critical, ...(alerts.rota ? onCall(alerts.rota, now).receivers : [])];
      const attempts = [...new Set(names)].flatMap((name) => {
        const receiver = alerts.receivers[name];
        return receiver ? [tellDirectly({ ...receiver, name }, secrets.get(name), asPosted(alert, now))] : [];
      });
      const results = await Promise.allSettled(attempts);
      this.#told = { directly: results.some(({ status }) => status === 'fulfilled'), at: now };
    } catch {
      return; // A secret that cannot be read is told as AlertingMisconfigured.
    }
  }

  /**
   * Writes Alertmanager's configuration as it should be now. Never throws: a secret that is missing is told as an alert,
   * and Alertmanager goes on with what it has.
   * @param reload make a running Alertmanager read it
   */
  async install(reload: boolean): Promise<void> {
    const { alerts, directory, alertmanager, clock } = this.#deps;
    const now = clock.now();
    if (directory === undefined) return;
    this.#installed = now;
    try {
      const people = alerts.rota ? onCall(alerts.rota, now).receivers : [];
      if (await installConfiguration(directory, alerts, people)) this.#stale = true;
      if (reload && this.#stale) {
        await alertmanager?.reload();
        this.#stale = false;
      }
      this.#set('AlertingMisconfigured', null, now);
    } catch (error) {
      const { message, hint, code } = asApplianceError(error);
      // One that does not answer is another matter and told as such; it reads the file when it starts.
      if (code === 'alertmanager_unreachable') return;
      const summary = `notifications do not go where appliance.yaml says: ${message}`;
      this.#set('AlertingMisconfigured', { name: 'AlertingMisconfigured', severity: 'warning', summary, hint }, now);
    }
  }

  /** Hands in what is ours, escalates what is not answered. @returns whether the alert that always fires was there */
  async #exchange(alertmanager: Alertmanager, signal: AbortSignal | undefined): Promise<boolean> {
    const { alerts, own, clock, expectsWatchdog } = this.#deps;
    try {
      const held = await alertmanager.alerts(signal);
      const now = clock.now();
      const ended = own.ended(this.#handedIn - minute, now);
      const posted = [...own.active(now), ...ended].map((alert) => asPosted(alert, now));
      await alertmanager.post([...posted, ...escalations(held, alerts.escalation, now)], signal);
      this.#handedIn = now;
      this.#answered = now;
      this.#problem = undefined;
      if (hasWatchdog(held)) this.#watchdog = now;
      this.#deliveries = await alertmanager.deliveries(signal);
      return expectsWatchdog && now - this.#watchdog < silenceLimit;
    } catch (error) {
      if (!signal?.aborted) this.#problem = messageOf(error);
      return false;
    }
  }

  async #forecast(now: number): Promise<void> {
    if (now - this.#sampled < minute) return;
    this.#sampled = now;
    const { directory, freeBytes } = this.#deps.disk;
    try {
      this.#samples.push({ at: now, freeBytes: await freeBytes() });
    } catch {
      return; // A disk that cannot be asked is seen by everything else that uses it.
    }
    if (this.#samples.length > keptSamples) this.#samples.shift();
    // The rules forecast too, where they are evaluated.
    this.#set('DiskFillsUp', this.#watched ? null : diskAlert(this.#samples, directory), now);
  }

  /** Raises an alert, or says that there is none of its name; one that has become worse or milder takes the other's place. */
  #set(name: string, draft: AlertDraft | null, now: number): void {
    const { own } = this.#deps;
    for (const { labels } of own.active(now)) {
      const same = draft && labels.severity === draft.severity && labels.service === draft.labels?.service;
      if (labels.alertname === name && !same) own.resolve(name, now, labels);
    }
    if (draft) own.raise(draft, now);
  }
}

function asPosted({ labels, summary, hint, startsAt, endsAt }: OwnAlert, now: number): PostedAlert {
  return {
    labels,
    annotations: { summary, ...(hint === null ? {} : { hint }) },
    startsAt: timestamp(startsAt),
    endsAt: timestamp(Math.min(endsAt ?? Number.POSITIVE_INFINITY, now + outlives)),
  };
}
