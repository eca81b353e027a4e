import { broughtAnew } from '../capabilities/certificates/steps.ts';
import type { CertificateSet } from '../config/certificates.ts';
import { asApplianceError } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Appliance } from './appliance.ts';
import { isPressing, reasonToTry } from './certificate-due.ts';
import { CertificatePlans } from './certificate-plans.ts';
import { agentActor } from './identity.ts';
import type { Prepared } from './operations.ts';

/** Milliseconds between two looks at brought files and at what cannot wait for the schedule. */
const period = 60_000;
/** Milliseconds that a renewal waits for a deploy to end. */
const patience = 3_600_000;

type Parts = Pick<Appliance, 'certificates' | 'certificateSteps' | 'observer' | 'store' | 'operations' | 'clock'>;

/**
 * What the schedule is too rare for (S1-29): the first certificate, names that are new, attempts that failed, certificates
 * of a few days, and files that somebody has brought anew.
 */
export class Renewals {
  readonly #a: Parts;
  readonly #plans: CertificatePlans;
  readonly #log: Pick<Log, 'warn' | 'info'>;
  /** Set → digest of the brought files that were tried last. */
  readonly #tried = new Map<string, string>();

  constructor(appliance: Parts, log: Pick<Log, 'warn' | 'info'>) {
    this.#a = appliance;
    this.#plans = new CertificatePlans(appliance);
    this.#log = log;
  }

  /** Looks after certificates until the signal aborts. Never throws. */
  async follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look(signal).catch((error: unknown) =>
        this.#log.warn({ error: asApplianceError(error).message }, 'certificates were not looked at'),
      );
      await this.#a.clock.sleep(period, signal).catch(() => undefined);
    }
  }

  async look(signal: AbortSignal): Promise<void> {
    const { certificates, clock } = this.#a;
    const reason = (set: CertificateSet) => reasonToTry(certificates, set, clock.now(), signal);
    // Whoever is at it may end it well.
    if (certificates.busy()) return;
    for (const set of certificates.sets) {
      if (signal.aborted) return;
      if ((await this.#takeOver(set, signal)) || !(await isPressing(certificates, set))) continue;
      const due = await reason(set);
      if (due === null) continue;
      // Somebody may have asked for it while this waited for its turn.
      const stillDue = async (): Promise<Prepared> =>
        (await reason(set)) === null
          ? { kind: 'certs-renew', target: set.name, origin: null, phases: [] }
          : this.#plans.issue('certs-renew', set.name, due);
      await this.#run('certs-renew', set.name, stillDue, signal);
    }
  }

  /** Files that were refused are tried again when they change, or an hour later. */
  async #takeOver({ name }: CertificateSet, signal: AbortSignal): Promise<boolean> {
    const { certificates, clock } = this.#a;
    const source = (await certificates.current({ name }))?.source;
    const digest = source ? await broughtAnew({ source }) : undefined;
    if (!source || digest === undefined) return false;
    const later = (certificates.log.state(name).nextAttempt ?? 0) > clock.now();
    if (later && this.#tried.get(name) === digest) return true;
    this.#tried.set(name, digest);
    const { key, chain } = source;
    await this.#run('certs-import', name, () => this.#plans.import({ set: name, key, chain }, agentActor), signal);
    return true;
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
