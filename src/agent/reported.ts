import {
  type AlertDesk,
  type Condition,
  conditionsOf,
  type OwnAlerts,
  reportedAlert,
  reportedName,
  type ShownAlert,
} from '../capabilities/alerts/index.ts';
import { listPolicies, loadPolicy } from '../config/policy-load.ts';
import type { Config } from '../config/schema.ts';
import type { Clock } from '../lib/clock.ts';
import { ApplianceError } from '../lib/errors.ts';
import { didYouMean } from '../lib/near.ts';

export interface ReportedDeps {
  readonly config: Pick<Config, 'deploy' | 'monitoring'>;
  readonly configPath: string;
  readonly clock: Pick<Clock, 'now'>;
  readonly desk: AlertDesk;
  readonly own: OwnAlerts;
  /** Tells Alertmanager now; without an agent nobody else would. */
  readonly handIn: () => Promise<void>;
}

/** Conditions that only a person can see (`byHand` of a policy): raised by a person, and over when a person says so. */
export class Reported {
  readonly #deps: ReportedDeps;

  constructor(deps: ReportedDeps) {
    this.#deps = deps;
  }

  /** @param id of a condition of any policy @throws ApplianceError `alert_not_found` with near matches */
  async raise(id: string, by: string, comment: string): Promise<ShownAlert[]> {
    const { own, clock } = this.#deps;
    own.raise(reportedAlert(await this.#condition(id), by, comment), clock.now());
    await this.#handIn();
    return this.#shown(id);
  }

  /** @throws ApplianceError `alert_not_found` when nobody has reported it */
  async resolve(id: string): Promise<ShownAlert[]> {
    const { own, clock } = this.#deps;
    const reported = await this.#shown(id);
    if (reported.length === 0) {
      const others = [...new Set((await this.#shown()).map(({ labels }) => labels.requirement))];
      throw new ApplianceError('alert_not_found', `nobody has reported ${id}`, {
        left: 'nothing was touched',
        hint: others.length === 0 ? 'nothing is reported at the moment' : `what is: ${others.join(', ')}`,
      });
    }
    own.resolve(reportedName, clock.now(), { requirement: id });
    await this.#handIn();
    return reported;
  }

  /** Kept in any case: an Alertmanager that does not answer is told in a later round. */
  async #handIn(): Promise<void> {
    await this.#deps.handIn().catch(() => undefined);
  }

  async #shown(id?: string): Promise<ShownAlert[]> {
    const { alerts } = await this.#deps.desk.view();
    return alerts.filter(
      ({ name, labels }) => name === reportedName && (id === undefined || labels.requirement === id),
    );
  }

  /** Policies in use come first: two may mean different things by one id. */
  async #condition(id: string): Promise<Condition> {
    const { config, configPath } = this.#deps;
    const inUse = [config.deploy.policy ?? [], config.monitoring?.policies ?? []].flat();
    const names = [...new Set([...inUse, ...(await listPolicies(configPath)).map(({ name }) => name)])];
    // A policy that cannot be read says so when it is used; nobody who reports an incident is kept waiting by it.
    const loaded = await Promise.all(names.map((name) => loadPolicy(name, configPath).catch(() => undefined)));
    const conditions = conditionsOf(loaded.flatMap((one) => (one ? [one.policy] : [])));
    const found = conditions.find((condition) => condition.id === id);
    if (found) return found;
    const ids = conditions.map((condition) => condition.id);
    const all = conditions.map((condition) => `${condition.id} (${condition.text})`).join(', ');
    throw new ApplianceError('alert_not_found', `no policy has a condition ${id} that a person reports`, {
      left: 'nothing was raised',
      hint: didYouMean(id, ids) ?? `there are ${all}`,
    });
  }
}
