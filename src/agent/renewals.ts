import { nextCheck } from '../capabilities/certificates/renewal.ts';
import { isBroughtAnew } from '../capabilities/certificates/steps.ts';
import { asApplianceError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Appliance } from './appliance.ts';
import { CertificatePlans } from './certificate-plans.ts';
import { agentActor } from './identity.ts';
import type { Prepared } from './operations.ts';

/** Milliseconds between two looks at the clock and at brought files; the network is asked twice a day. */
const period = 60_000;
/** Milliseconds that a renewal waits for a deploy to end. */
const patience = 3_600_000;

type Parts = Pick<
  Appliance,
  'certificates' | 'certificateSteps' | 'observer' | 'store' | 'operations' | 'clock' | 'traffic'
>;

/** Renews what is due without anybody asking (S1-29). */
export class Renewals {
  readonly #a: Parts;
  readonly #plans: CertificatePlans;
  readonly #random: () => number;
  readonly #log: Pick<Log, 'warn' | 'info'>;

  /** @param random from 0 up to but not including 1 */
  constructor(appliance: Parts, log: Pick<Log, 'warn' | 'info'>, random: () => number = Math.random) {
    this.#a = appliance;
    this.#plans = new CertificatePlans(appliance);
    this.#random = random;
    this.#log = log;
  }

  /** Looks after certificates until the signal aborts. Never throws. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.renewDue(this.#a.clock.now(), signal).catch((error: unknown) =>
        this.#log.warn({ error: asApplianceError(error).message }, 'certificates were not looked at'),
      );
      await this.#a.clock.sleep(period, signal).catch(() => undefined);
    }
  }

  /**
   * Twice a day: asks the authorities when they would like a renewal, and proves that what is in force is served. Each
   * time: takes over files that were brought anew, and renews what is due, unless an attempt has failed lately.
   * @param now milliseconds since 1970
   */
  async renewDue(now: number, signal: AbortSignal): Promise<void> {
    const { certificates, traffic } = this.#a;
    const last = certificates.log.lastCheck();
    const jitter = last?.jitter ?? this.#random();
    if (now >= nextCheck(last?.at, jitter, await certificates.shortestLifetime()) || (last && now < last.at)) {
      await certificates.refreshSuggestions(this.#random, signal);
      await certificates.proveServed(signal);
      certificates.log.checked(now, jitter);
    }
    for (const set of certificates.sets) {
      if (signal.aborted) return;
      const [domain = ''] = certificates.namesOf(set);
      const stored = await certificates.store.current(set.name).catch(() => undefined);
      if (stored && (await isBroughtAnew(stored)) && stored.source) {
        const { key, chain } = stored.source;
        await this.#run(
          'certs-import',
          set.name,
          () => this.#plans.import({ set: set.name, key, chain }, agentActor),
          signal,
        );
        continue;
      }
      const due = await certificates.due(set);
      if (due === null || (certificates.log.state(set.name).nextAttempt ?? 0) > now) continue;
      // Before the edge serves anything, an authority could not reach it either.
      if (
        (await traffic.served(domain.replace(/^\*\./, 'appliance-check.'), signal).catch(() => undefined)) === undefined
      )
        continue;
      // Somebody may have asked for it while this waited for its turn.
      const stillDue = async (): Promise<Prepared> =>
        (await certificates.due(set)) === null
          ? { kind: 'certs-renew', target: set.name, origin: null, phases: [] }
          : this.#plans.issue('certs-renew', set.name, due);
      await this.#run('certs-renew', set.name, stillDue, signal);
    }
  }

  /** Runs an operation to its end. What comes of it stands in the journal, the status and the alerts. */
  async #run(
    kind: string,
    set: string,
    prepare: () => Prepared | Promise<Prepared>,
    signal: AbortSignal,
  ): Promise<void> {
    const { operations } = this.#a;
    try {
      const wish = { kind, input: { set }, actor: agentActor, wait: patience };
      for await (const event of operations.start(wish, prepare, signal)) {
        if (event.event === 'operation-ended')
          this.#log.info({ kind, set, result: event.result.result }, 'certificate');
      }
    } catch (error) {
      const told = asApplianceError(error);
      this.#log.warn({ kind, set, error: told.message }, 'certificate not renewed');
      if (!signal.aborted && told.code !== 'busy') this.#a.certificates.failed(set, told);
    }
  }
}
