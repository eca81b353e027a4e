import { join } from 'node:path';
import { AttemptLog } from '../capabilities/certificates/attempts.ts';
import { responders } from '../capabilities/certificates/challenges.ts';
import { AcmeIssuer } from '../capabilities/certificates/issuer.ts';
import { renewalTime } from '../capabilities/certificates/renewal.ts';
import { selfSigned } from '../capabilities/certificates/self-signed.ts';
import {
  type CertificateStepDeps,
  createCertificateSteps,
  waitingVersion,
} from '../capabilities/certificates/steps.ts';
import { CertificateStore, type Stored } from '../capabilities/certificates/store.ts';
import { covers, normaliseNames } from '../config/certificate-names.ts';
import { type CertificateSet, certificateDefaults, certificateSets } from '../config/certificates.ts';
import type { Config } from '../config/schema.ts';
import { systemNames } from '../host/dns.ts';
import type { Database } from '../host/sqlite.ts';
import type { Clock } from '../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../lib/errors.ts';
import { didYouMean } from '../lib/near.ts';
import type { Paths } from '../lib/paths.ts';
import type { Alerting } from './alerting.ts';

export interface CertificatesDeps {
  readonly config: Config;
  readonly paths: Paths;
  readonly clock: Clock;
  readonly database: Database;
  readonly alerting: Pick<Alerting, 'raise' | 'resolve'>;
  /** Serial number that a handshake with the edge shows; undefined when there is none. */
  readonly served: (domain: string, signal?: AbortSignal) => Promise<string | undefined>;
  /** Whether an attempt is under way right now. */
  readonly busy: () => boolean;
}

/** What is known of the certificate in force; times are milliseconds since 1970. */
export interface CertificateEnd {
  readonly domain: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

const hour = 3_600_000;
const failedAlert = 'CertificateRenewalFailed';

/** The certificates of one appliance: what the capability needs of the machine, put together (S1-29, S1-49). */
export class Certificates {
  readonly store: CertificateStore;
  readonly log: AttemptLog;
  readonly #deps: CertificatesDeps;
  readonly issuer: AcmeIssuer;
  readonly #steps: CertificateStepDeps;

  constructor(deps: CertificatesDeps) {
    this.#deps = deps;
    const { paths, clock, database, config } = deps;
    const settings = config.certificates ?? certificateDefaults;
    this.store = new CertificateStore(paths);
    this.log = new AttemptLog(database);
    this.issuer = new AcmeIssuer({
      config: settings,
      clock,
      store: this.store,
      log: this.log,
      directory: join(paths.lib, 'certificates'),
      responder: responders(settings.acme, join(paths.edge, 'acme')),
      names: systemNames(),
      port: settings.acme.port,
    });
    this.#steps = {
      set: (name) => this.set(name),
      issuer: this.issuer,
      store: this.store,
      log: this.log,
      clock,
      onFailed: (set, error) => this.#tellFailed(set, error),
      onRecorded: (set) => deps.alerting.resolve(failedAlert, { certificate: set }),
    };
  }

  get sets(): readonly [CertificateSet, ...CertificateSet[]] {
    return certificateSets(this.#deps.config);
  }

  /** @throws ApplianceError `certificate_not_found`; `usage` where there are several and none is named */
  set(name: string | undefined): CertificateSet {
    const [first, ...rest] = this.sets;
    const names = [first, ...rest].map((one) => one.name);
    if (name === undefined) {
      if (rest.length === 0) return first;
      throw new ApplianceError('usage', 'there are several certificates: say which', { hint: names.join(', ') });
    }
    const found = this.sets.find((one) => one.name === name || one.domains.includes(name));
    if (found) return found;
    throw new ApplianceError('certificate_not_found', `appliance.yaml names no certificate ${name}`, {
      left: 'nothing was changed',
      hint: didYouMean(name, names) ?? `there is ${names.join(', ')}`,
    });
  }

  /** Names that the certificate of a set must cover. */
  namesOf({ domains }: Pick<CertificateSet, 'domains'>): string[] {
    return normaliseNames(domains, { challenge: undefined });
  }

  /** Milliseconds that one attempt may take, with a rehearsal before it. */
  get patience(): number {
    const { patience } = (this.#deps.config.certificates ?? certificateDefaults).acme;
    return 2 * patience + 60_000;
  }

  /** Steps of the recipes; the one that installs is the edge's. */
  steps() {
    return createCertificateSteps(this.#steps);
  }

  /**
   * Gives each set that has none a certificate that signs itself, so that nginx always starts. Only the one writer may
   * call it.
   */
  async ensure(): Promise<void> {
    const { clock } = this.#deps;
    for (const { name, domains } of this.sets) {
      await this.store.sweep(name);
      if ((await this.store.currentVersion(name)) !== undefined) continue;
      const names = this.namesOf({ domains });
      const [newest] = await this.store.list(name);
      if (newest && names.every((one) => covers(newest.domains, one))) {
        await this.store.adoptFirst(newest);
        continue;
      }
      const meta = { kind: 'self-signed', source: null, directory: null } as const;
      const pair = await selfSigned(names, clock.now());
      await this.store.adoptFirst(await this.store.add(name, { ...pair, meta }, names, clock.now()));
    }
  }

  /** For the status and the metrics; never asks the network. */
  async inForce(): Promise<readonly (Stored & { readonly names: readonly string[] })[]> {
    const all = await Promise.all(
      this.sets.map(async (set) => {
        const stored = await this.current(set);
        return stored && { ...stored, names: this.namesOf(set) };
      }),
    );
    return all.filter((one) => one !== undefined);
  }

  /** When the certificate of each domain ends (CONTRACT "Metrics of the agent"). */
  async ends(): Promise<CertificateEnd[]> {
    return (await this.inForce()).flatMap(({ names, notBefore, notAfter }) =>
      names.map((domain) => ({ domain, notBefore, notAfter })),
    );
  }

  /** A version on the disk that is not in force yet: an attempt before has ended between the two. */
  waiting(set: CertificateSet): Promise<Stored | undefined> {
    return waitingVersion(set, this.#steps);
  }

  /** Serial number that a handshake for a name shows; undefined where none does. Under a wildcard any name is asked for. */
  served(name: string, signal: AbortSignal): Promise<string | undefined> {
    return this.#deps.served(name.replace(/^\*\./, 'appliance-check.'), signal).catch(() => undefined);
  }

  /** Whether an attempt is under way right now. */
  busy(): boolean {
    return this.#deps.busy();
  }

  /** An operation about a certificate has failed after it was issued: what is served did not change. */
  failed(set: string, error: { readonly message: string; readonly hint?: string | undefined }): void {
    this.log.failed(set, error.message, this.log.state(set).nextAttempt ?? this.#deps.clock.now() + hour);
    this.#tellFailed(set, error);
  }

  renewAfter(set: CertificateSet, stored: Stored): number {
    return renewalTime(stored, this.log.window(set.name, stored.serial));
  }

  /** What is in force. A damaged version is as good as none: the edge has its stand-in, and a new one is due. */
  async current({ name }: Pick<CertificateSet, 'name'>): Promise<Stored | undefined> {
    try {
      return await this.store.current(name);
    } catch (error) {
      if (asApplianceError(error).code !== 'state_corrupt') throw error;
      return undefined;
    }
  }

  #tellFailed(set: string, { message, hint }: { readonly message: string; readonly hint?: string | undefined }): void {
    this.#deps.alerting.raise({
      name: failedAlert,
      severity: 'warning',
      summary: `no new certificate ${set}: ${message}`,
      hint: hint ?? 'appliance certs status',
      labels: { certificate: set },
    });
  }
}
