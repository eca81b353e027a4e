import { join } from 'node:path';
import type { OperationResult, Rollout } from '../api/schema.ts';
import {
  type AlertChange,
  AlertDesk,
  type AlertDraft,
  alertsOf,
  alertsOfBackups,
  alertsOfDrill,
  alertsOfRollout,
  awaitReceipt,
  backupAlertNames,
  checkAlerting,
  type OwnAlert,
  OwnAlerts,
  type SeenBackups,
  Sentry,
  testReceivers,
} from '../capabilities/alerts/index.ts';
import { summaryOf } from '../capabilities/backups/drill.ts';
import type { DrillReport } from '../capabilities/backups/drill-report.ts';
import { labelKeys } from '../capabilities/stack/index.ts';
import { type AlertsConfig, alertsSchema } from '../config/alerts.ts';
import type { Config } from '../config/schema.ts';
import { Alertmanager, type HeldAlert } from '../host/alertmanager.ts';
import type { Engine } from '../host/docker.ts';
import { fileSystemUse } from '../host/machine.ts';
import type { Database } from '../host/sqlite.ts';
import type { Clock } from '../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../lib/errors.ts';
import { didYouMean } from '../lib/near.ts';
import type { Paths } from '../lib/paths.ts';
import type { Finding } from '../lib/verdict.ts';
import { type ContainerWatch, colourOf, serviceName } from './containers.ts';
import type { NotificationCount } from './metrics/notifications.ts';
import { Reported } from './reported.ts';

/** Milliseconds between two rounds. */
const period = 5_000;
/** Milliseconds that Alertmanager gets to take what a person has just reported; the next round tries again. */
const handInTimeout = 3_000;
/** What is in force where appliance.yaml has no section `alerts`: nobody is told of anything. */
const untold: AlertsConfig = alertsSchema.parse({ receivers: {} });

export interface AlertingDeps {
  readonly config: Config;
  readonly paths: Paths;
  readonly clock: Clock;
  readonly database: Database;
  readonly engine: Engine;
  readonly watch: ContainerWatch;
  /** The live colour; null before the first deploy. */
  readonly live: () => { readonly colour: string } | null;
  /** Whether an operation changes the stack right now. */
  readonly busy: () => boolean;
  /** Told of what went wrong while nobody waits for an answer. */
  readonly onError: (error: ApplianceError) => void;
}

/** Alerting of one appliance: what the alerts capability needs of the machine, put together. */
export class Alerting {
  readonly desk: AlertDesk;
  /** What people tell of. */
  readonly reported: Reported;
  readonly #deps: AlertingDeps;
  readonly #own: OwnAlerts;
  readonly #alertmanager: Alertmanager | undefined;
  readonly #sentry: Sentry;

  constructor(deps: AlertingDeps) {
    this.#deps = deps;
    const { config, paths, clock, database } = deps;
    const { alerts, monitoring } = config;
    const address = alerts?.alertmanager ?? (monitoring ? `http://${monitoring.alertmanager.listen}` : undefined);
    this.#alertmanager = address === undefined ? undefined : new Alertmanager(address);
    this.#own = new OwnAlerts(database, config.name);
    this.desk = new AlertDesk({ alerts, alertmanager: this.#alertmanager, own: this.#own, clock });
    this.#sentry = new Sentry({
      alerts: alerts ?? untold,
      alertmanager: this.#alertmanager,
      directory: monitoring && alerts?.alertmanager === undefined ? join(paths.monitoring, 'alertmanager') : undefined,
      expectsWatchdog: monitoring !== undefined,
      own: this.#own,
      clock,
      disk: { directory: paths.lib, freeBytes: async () => (await fileSystemUse(paths.lib)).free },
      services: () => this.#services(),
    });
    this.reported = new Reported({
      config,
      configPath: paths.config,
      clock,
      desk: this.desk,
      own: this.#own,
      handIn: () => this.#sentry.round(AbortSignal.timeout(handInTimeout)),
    });
  }

  /** What the agent raised that went on at any moment of a time. @param from, to milliseconds since 1970 */
  between(from: number, to: number): OwnAlert[] {
    return this.#own.between(from, to);
  }

  /** Steps of the drill. */
  steps() {
    const deps = {
      alerts: this.#deps.config.alerts,
      alertmanager: () => this.desk.required(),
      accepted: (receiver: string, alert: HeldAlert, since: number) =>
        loggedSuccess(this.#deps.engine, this.#deps.config.name, receiver, alert, since),
      stoppedAt: (service: string) => this.#stoppedAt(service),
    };
    return { checkAlerting: checkAlerting(deps), awaitReceipt: awaitReceipt(deps) };
  }

  /** Writes what Alertmanager reads when it starts. Never throws. */
  prepare(): Promise<void> {
    return this.#sentry.install(false);
  }

  /** Looks after alerting until the signal aborts. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#sentry.round(signal).catch((error: unknown) => this.#deps.onError(asApplianceError(error)));
      await this.#deps.clock.sleep(period, signal).catch(() => undefined);
    }
  }

  /** Notifications by channel since Alertmanager started. */
  notifications(): NotificationCount[] {
    const byChannel = new Map<string, { accepted: number; refused: number }>();
    for (const { integration, attempts, failures } of this.#sentry.deliveries) {
      const count = byChannel.get(integration) ?? { accepted: 0, refused: 0 };
      byChannel.set(integration, {
        accepted: count.accepted + attempts - failures,
        refused: count.refused + failures,
      });
    }
    return [...byChannel].map(([channel, count]) => ({ channel, ...count }));
  }

  /** An operation has ended: whoever wants to be told of it will be. */
  ended(result: OperationResult): void {
    const now = this.#deps.clock.now();
    const { kind, from, to, actor, error } = result;
    const change = alertsOf({ kind, from, to, actor, result: result.result, why: error?.message, hint: error?.hint });
    for (const name of change.resolve) this.#own.resolve(name, now);
    for (const draft of change.raise) this.#own.raise(draft, now);
  }

  /** A backup was restored into throw-away containers: whoever wants to be told of a failure will be. */
  drilled(report: DrillReport): void {
    const { snapshot, verdict, findings } = report;
    const hint = findings.find((finding) => finding.verdict === verdict && finding.hint !== undefined)?.hint;
    this.#change(alertsOfDrill({ snapshot, verdict, summary: summaryOf(report), hint }));
  }

  /** Backups were looked at: what is wrong is raised, what is over is resolved. */
  seenBackups(seen: SeenBackups): void {
    const raise = alertsOfBackups(seen, this.#deps.clock.now());
    const raised = new Set(raise.map(({ name }) => name));
    this.#change({ resolve: backupAlertNames.filter((name) => !raised.has(name)), raise });
    // Of several off-site targets one may be well again while another is not.
    const late = new Set(raise.map(({ labels }) => labels?.target));
    for (const { name: target } of seen.targets)
      if (!late.has(target)) this.#own.resolve('OffsiteBackupOverdue', this.#deps.clock.now(), { target });
  }

  #change({ resolve, raise }: AlertChange): void {
    const now = this.#deps.clock.now();
    for (const name of resolve) this.#own.resolve(name, now);
    for (const draft of raise) this.#own.raise(draft, now);
  }

  /** Somebody has noticed something that is wrong, or new. */
  raise(draft: AlertDraft): void {
    this.#own.raise(draft, this.#deps.clock.now());
  }

  /** What the alerts of a name told of is over. @param about labels that they must bear */
  resolve(name: string, about: Readonly<Record<string, string>> = {}): void {
    this.#own.resolve(name, this.#deps.clock.now(), about);
  }

  /** A rollout was looked at: what it does to the traffic, and what is odd about it, is told. */
  seen({ to, policy, weight, secondsHeld, findings }: Rollout): void {
    const odd = findings.filter(({ role, verdict }) => role === 'investigate' && verdict === 'fail');
    const drafts = alertsOfRollout({ to, policy, weight, isNew: secondsHeld === 0 && findings.length === 0, odd });
    for (const draft of drafts) this.#own.raise(draft, this.#deps.clock.now());
  }

  /**
   * Proves, receiver by receiver, that notifications are accepted.
   * @param names receivers; all when empty
   * @throws ApplianceError `alerts_off`, `alert_not_found`, `alertmanager_unreachable`
   */
  async test(names: readonly string[], actor: string, signal: AbortSignal): Promise<Finding[]> {
    const { config, clock, engine } = this.#deps;
    const alertmanager = this.desk.required();
    const known = config.alerts?.receivers ?? {};
    if (Object.keys(known).length === 0) {
      throw new ApplianceError('alerts_off', 'appliance.yaml names no receiver', {
        left: 'nothing was sent',
        hint: 'write the section alerts into appliance.yaml (docs/guide/alerts.md)',
      });
    }
    for (const name of names) {
      if (known[name]) continue;
      throw new ApplianceError('alert_not_found', `there is no receiver ${name}`, {
        left: 'nothing was sent',
        hint: didYouMean(name, Object.keys(known)) ?? `there are ${Object.keys(known).join(', ')}`,
      });
    }
    const chosen = Object.entries(known).filter(([name]) => names.length === 0 || names.includes(name));
    await this.#sentry.install(true);
    const explain = (receiver: string, since: number) => loggedReason(engine, config.name, receiver, since);
    return testReceivers(
      { alertmanager, clock, name: config.name, explain },
      Object.fromEntries(chosen),
      actor,
      signal,
    );
  }

  #services() {
    const { watch, live, busy } = this.#deps;
    const colour = live()?.colour;
    if (colour === undefined || busy() || watch.problem) return undefined;
    return watch
      .details()
      .filter(({ labels }) => labels[labelKeys.role] === 'app' || labels[labelKeys.role] === 'core')
      .filter((one) => colourOf(one) === null || colourOf(one) === colour)
      .map((one) => ({
        name: serviceName(one),
        service: one.labels[labelKeys.service] ?? serviceName(one),
        well: one.running && one.health !== 'unhealthy' && one.state === 'running',
        state: one.running && one.health !== null ? one.health : one.state,
      }));
  }

  async #stoppedAt(service: string): Promise<number | undefined> {
    const { engine, config, live } = this.#deps;
    const colour = live()?.colour;
    const all = await engine.containers([
      `${labelKeys.name}=${config.name}`,
      `${labelKeys.service}=${service}`,
      `${labelKeys.colour}=${colour ?? ''}`,
    ]);
    const details = await Promise.all(all.map(({ id }) => engine.inspect(id)));
    const times = details.flatMap((one) => (one && !one.running ? [Date.parse(one.finishedAt)] : []));
    return times.length === 0 ? undefined : Math.min(...times);
  }
}

/** Lines of Alertmanager's log that are read. */
const logLines = 5_000;

/** What Alertmanager of the core has logged, line by line; undefined where it cannot be read. @param since milliseconds since 1970 */
async function alertmanagerLog(engine: Engine, name: string, since: number): Promise<string[] | undefined> {
  const signal = AbortSignal.timeout(5_000);
  try {
    const all = await engine.containers([`${labelKeys.name}=${name}`, `${labelKeys.service}=alertmanager`]);
    const detail = all[0] && (await engine.inspect(all[0].id));
    if (!detail) return undefined;
    let text = '';
    const options = { follow: false, since: Math.floor(since / 1_000), tail: logLines, signal };
    for await (const chunk of engine.logs(detail, options)) text += chunk.text;
    return text.split('\n');
  } catch {
    return undefined;
  }
}

/** Why a notification was refused, in Alertmanager's words. @param since milliseconds since 1970 */
async function loggedReason(
  engine: Engine,
  name: string,
  receiver: string,
  since: number,
): Promise<string | undefined> {
  const about = (line: string) => line.includes(`receiver=${receiver} `) || line.includes(`err="${receiver}/`);
  const lines = (await alertmanagerLog(engine, name, since)) ?? [];
  const [, quoted] =
    /err="((?:[^"\\]|\\.)*)"/.exec(lines.findLast((line) => about(line) && line.includes('err=')) ?? '') ?? [];
  return quoted?.replaceAll('\\"', '"').slice(0, 300);
}

/** Whether a receiver has accepted a notification of an alert: Alertmanager logs the alert with the success. */
async function loggedSuccess(
  engine: Engine,
  name: string,
  receiver: string,
  { labels, fingerprint }: HeldAlert,
  since: number,
): Promise<boolean | undefined> {
  const alert = `${labels.alertname}[${fingerprint.slice(0, 7)}][active]`;
  const lines = await alertmanagerLog(engine, name, since);
  return lines?.some(
    (line) => line.includes('msg="Notify success"') && line.includes(`receiver=${receiver} `) && line.includes(alert),
  );
}
