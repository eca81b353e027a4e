import { realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ReleaseStore } from '../capabilities/releases/store.ts';
import { assertReachable, assertReadable } from '../host/readable.ts';
import type { Clock } from '../lib/clock.ts';
import { ApplianceError, systemCode } from '../lib/errors.ts';
import type { Actor } from '../operations/journal.ts';
import type { Planner } from '../operations/runner.ts';
import type { PlannedStep } from '../operations/step.ts';
import {
  type CertificateSteps,
  type IssueFacts,
  planCheck,
  planImport,
  planInstall,
  planIssue,
  planRehearsal,
} from '../recipes/renew-certificates.ts';
import { reasonToTry } from './certificate-due.ts';
import type { Certificates } from './certificates.ts';
import type { Observer } from './observer.ts';
import type { Prepared } from './operations.ts';

interface Parts {
  readonly certificates: Certificates;
  readonly certificateSteps: CertificateSteps;
  readonly observer: Pick<Observer, 'observe' | 'topologies'>;
  readonly store: Pick<ReleaseStore, 'live'>;
  readonly clock: Pick<Clock, 'now'>;
}

/** Turns wishes about certificates into plans. */
export class CertificatePlans {
  readonly #a: Parts;

  constructor(appliance: Parts) {
    this.#a = appliance;
  }

  /** @throws ApplianceError `certificate_not_found`, `certificate_invalid` */
  issue(kind: 'certs-issue' | 'certs-renew', set: string | undefined, cause: string): Prepared {
    const facts = this.#facts(set, cause);
    const steps = planIssue(facts, this.#a.certificateSteps);
    return this.#prepared(kind, facts.set, [async () => steps, this.#install(facts.set)]);
  }

  /** Asks and proves, then renews what is due (S1-29). */
  check(name: string): Prepared {
    const { certificates, certificateSteps, clock } = this.#a;
    const set = certificates.set(name);
    const names = certificates.namesOf(set);
    let cause: string | null = null;
    return this.#prepared('certs-check', set.name, [
      async () => planCheck({ set: set.name, names }, certificateSteps),
      async (signal) => {
        cause = await reasonToTry(certificates, set, clock.now(), signal);
        return cause === null ? [] : planIssue(this.#facts(set.name, cause), certificateSteps);
      },
      async (signal) => (cause === null ? [] : this.#install(set.name)(signal)),
    ]);
  }

  rehearse(set: string | undefined): Prepared {
    const facts = this.#facts(set, 'asked for; what is served does not change');
    const { issuer } = this.#a.certificates.set(set);
    if (issuer !== 'acme')
      throw new ApplianceError(
        'certificate_invalid',
        `no authority is asked for ${facts.set}: its issuer is ${issuer}`,
        {
          left: 'nothing was tried',
          hint: 'certificates.issuer: acme in appliance.yaml',
        },
      );
    const steps = planRehearsal(facts, this.#a.certificateSteps);
    return this.#prepared('certs-dry-run', facts.set, [async () => steps]);
  }

  /** @throws ApplianceError `certificate_not_found`, `certificate_invalid`, `not_permitted` for files that the caller may not read */
  async import(
    wish: { readonly set?: string | undefined; readonly key: string; readonly chain: string },
    actor: Actor,
  ): Promise<Prepared> {
    const { set, names } = this.#facts(wish.set, 'somebody has brought it');
    for (const path of [wish.chain, wish.key]) await assertBringable(path, actor.uid);
    const steps = planImport({ set, names, key: wish.key, chain: wish.chain }, this.#a.certificateSteps);
    return this.#prepared('certs-import', set, [async () => steps, this.#install(set)]);
  }

  /** What is newest on the disk is served. */
  #install(set: string): Planner {
    return async (): Promise<readonly PlannedStep[]> => {
      const { certificates, certificateSteps } = this.#a;
      const [newest] = await certificates.store.list(set);
      if (!newest) throw new ApplianceError('certificate_invalid', `there is no version of ${set} on the disk`);
      const from = (await certificates.store.currentVersion(set)) ?? null;
      const { version, serial } = newest;
      const domains = certificates.namesOf(certificates.set(set));
      return planInstall(
        { set, version, serial, domains, from, topologies: await this.#topologies() },
        certificateSteps,
      );
    };
  }

  async #topologies() {
    const { store, observer } = this.#a;
    const live = store.live();
    if (!live) return null;
    const { colours } = await observer.observe();
    const wanted = await observer.topologies(live.release);
    return {
      blue: colours.blue.topology ?? wanted.blue,
      green: colours.green.topology ?? wanted.green,
    };
  }

  #facts(wanted: string | undefined, cause: string): IssueFacts {
    const { certificates } = this.#a;
    const set = certificates.set(wanted);
    return { set: set.name, names: certificates.namesOf(set), cause, patience: certificates.patience };
  }

  #prepared(kind: string, target: string, phases: readonly Planner[]): Prepared {
    return { kind, target, origin: null, phases };
  }
}

/** Whoever brings a file must be able to read it; a link, as certbot makes them, leads to what is brought. */
async function assertBringable(path: string, uid: number): Promise<void> {
  const left = 'the certificate in force stays';
  try {
    const real = await realpath(path);
    const found = await stat(real);
    if (!found.isFile()) throw new ApplianceError('certificate_invalid', `${path} is no plain file`, { left });
    assertReadable(found, real, { uid, left });
    await assertReachable(dirname(real), { uid, left });
  } catch (cause) {
    if (!['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCode(cause) ?? '')) throw cause;
    throw new ApplianceError('certificate_invalid', `there is no ${path}`, { left, cause });
  }
}
