import type { OwnAlerts } from './own-alerts.ts';

/** A container that users need. */
export interface ServiceState {
  /** `backend-1` */
  readonly name: string;
  /** Service of the Compose file: `backend`. */
  readonly service: string;
  readonly well: boolean;
  /** `exited`, `unhealthy`, … */
  readonly state: string;
}

/** Milliseconds that a service may be down before somebody is told: the `for:` of the rules that watch it otherwise. */
const patience = 20_000;
const alertName = 'ServiceDown';

/** Watches services where no Prometheus does: a service none of whose containers is well is down (S1-38). */
export class ServiceWatch {
  readonly #own: OwnAlerts;
  readonly #since = new Map<string, number>();

  constructor(own: OwnAlerts) {
    this.#own = own;
  }

  /** @param containers undefined while an operation changes them: then nothing is judged */
  look(containers: readonly ServiceState[] | undefined, now: number): void {
    if (!containers) {
      this.#since.clear();
      return;
    }
    const down = downServices(containers);
    for (const service of this.#since.keys()) if (!down.has(service)) this.#since.delete(service);
    for (const [service, state] of down) {
      const since = this.#since.get(service) ?? now;
      this.#since.set(service, since);
      if (now - since < patience) continue;
      this.#own.raise(
        {
          name: alertName,
          severity: 'critical',
          summary: `${service} is down: ${state}`,
          hint: `appliance logs ${service}; appliance up`,
          labels: { service },
        },
        now,
      );
    }
    for (const { labels } of this.#own.active(now)) {
      const { alertname, service = '' } = labels;
      if (alertname === alertName && !down.has(service)) this.#own.resolve(alertName, now, { service });
    }
  }

  /** Somebody else watches now. */
  leave(now: number): void {
    this.#since.clear();
    if (this.#own.active(now).some(({ labels }) => labels.alertname === alertName)) this.#own.resolve(alertName, now);
  }
}

/** Service → how its containers are, for those that have no container that is well. */
function downServices(containers: readonly ServiceState[]): Map<string, string> {
  const down = new Map<string, string>();
  for (const { service } of containers) {
    const mine = containers.filter((one) => one.service === service);
    if (!mine.some(({ well }) => well)) down.set(service, mine.map(({ name, state }) => `${name} ${state}`).join(', '));
  }
  return down;
}
