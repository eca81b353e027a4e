import { join } from 'node:path';
import type { Certificate } from '../api/certificates.ts';
import { AttemptLog, cutShort } from '../capabilities/certificates/attempts.ts';
import { dnsResponder, httpResponder } from '../capabilities/certificates/challenges.ts';
import { AcmeIssuer } from '../capabilities/certificates/issuer.ts';
import { drawPoint, isSensible, renewalTime } from '../capabilities/certificates/renewal.ts';
import { selfSigned } from '../capabilities/certificates/self-signed.ts';
import { createCertificateSteps } from '../capabilities/certificates/steps.ts';
import { CertificateStore, type Stored } from '../capabilities/certificates/store.ts';
import { covers, normaliseNames } from '../config/certificate-names.ts';
import { type CertificateSet, certificateDefaults, certificateSets } from '../config/certificates.ts';
import type { Config } from '../config/schema.ts';
import { systemNames } from '../host/dns.ts';
import type { Database } from '../host/sqlite.ts';
import { type Clock, timestamp } from '../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../lib/errors.ts';
import { didYouMean } from '../lib/near.ts';
import type { Paths } from '../lib/paths.ts';
import type { Finding } from '../lib/verdict.ts';
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

const day = 86_400_000;
const failedAlert = 'CertificateRenewalFailed';
const unservedAlert = 'CertificateNotServed';

/** The certificates of one appliance: what the capability needs of the machine, put together (S1-29, S1-49). */
export class Certificates {
  readonly store: CertificateStore;
  readonly log: AttemptLog;
  readonly #deps: CertificatesDeps;
  readonly #issuer: AcmeIssuer;

  constructor(deps: CertificatesDeps) {
    this.#deps = deps;
    const { paths, clock, database, config } = deps;
    const settings = config.certificates ?? certificateDefaults;
    this.store = new CertificateStore(paths);
    this.log = new AttemptLog(database);
    this.#issuer = new AcmeIssuer({
      config: settings,
      clock,
      store: this.store,
      log: this.log,
      directory: join(paths.lib, 'certificates'),
      responder: (challenge) => {
        const { hook, hookTimeout } = settings.acme;
        if (challenge === 'http-01') return httpResponder(join(paths.edge, 'acme'));
        if (hook !== undefined) return dnsResponder(hook, hookTimeout);
        throw new ApplianceError('config_invalid', 'dns-01 needs a program: certificates.acme.hook', {
          left: 'no attempt was spent',
          hint: 'docs/guide/certificates.md says what it is given',
        });
      },
      names: systemNames(),
      port: settings.acme.port,
    });
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
    const { alerting, clock } = this.#deps;
    return createCertificateSteps({
      set: (name) => this.set(name),
      issuer: this.#issuer,
      store: this.store,
      log: this.log,
      clock,
      onFailed: (set, { message, hint }) =>
        alerting.raise({
          name: failedAlert,
          severity: 'warning',
          summary: `no new certificate ${set}: ${message}`,
          hint: hint ?? 'appliance certs status',
          labels: { certificate: set },
        }),
      onRecorded: (set) => alerting.resolve(failedAlert, { certificate: set }),
    });
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

  /** What is in force, what is served, and what is to come. */
  async status(signal?: AbortSignal): Promise<Certificate[]> {
    return Promise.all(
      this.sets.map(async (set) => {
        const names = this.namesOf(set);
        const stored = await this.#current(set);
        const { lastAttempt, lastError, nextAttempt } = this.log.state(set.name);
        const served = await this.#deps.served(probeName(names), signal).catch(() => undefined);
        const renewAfter = stored && set.issuer === 'acme' ? this.#renewAfter(set, stored) : null;
        return {
          set: set.name,
          domains: names,
          kind: stored?.kind ?? null,
          issuer: stored?.issuer ?? null,
          serial: stored?.serial ?? null,
          notBefore: stored ? timestamp(stored.notBefore) : null,
          notAfter: stored ? timestamp(stored.notAfter) : null,
          daysLeft: stored ? this.#daysLeft(stored) : null,
          servedSerial: served ?? null,
          renewAfter: renewAfter === null ? null : timestamp(renewAfter),
          due: this.#due(set, stored),
          lastAttempt: lastAttempt === null ? null : timestamp(lastAttempt),
          // So it stands on disk while an attempt runs, for whoever comes after a crash.
          lastError: this.#deps.busy() && lastError === cutShort ? null : lastError,
          nextAttempt: nextAttempt === null ? null : timestamp(nextAttempt),
        };
      }),
    );
  }

  /** For the status and the metrics; never asks the network. */
  async inForce(): Promise<readonly (Stored & { readonly names: readonly string[] })[]> {
    const all = await Promise.all(
      this.sets.map(async (set) => {
        const stored = await this.#current(set);
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

  /** What the status says of certificates; nothing while all is well. */
  async findings(): Promise<Finding[]> {
    const findings: Finding[] = [];
    for (const one of await this.inForce()) {
      const left = this.#daysLeft(one);
      const id = `certificate-${one.set}`;
      const when = timestamp(one.notAfter);
      if (one.notAfter <= this.#deps.clock.now())
        findings.push({
          id,
          verdict: 'fail',
          observed: `the certificate ${one.set} has ended at ${when}`,
          hint: 'appliance certs status',
        });
      else if (left < 3 && one.notAfter - one.notBefore > 20 * day)
        findings.push({
          id,
          verdict: 'fail',
          observed: `the certificate ${one.set} ends at ${when}`,
          hint: 'appliance certs status',
        });
    }
    return findings;
  }

  /** Why a set is to be renewed now; null when it is not. @throws never */
  async due(set: CertificateSet): Promise<string | null> {
    return this.#due(set, await this.#current(set));
  }

  /** The shortest lifetime of a certificate in force, in milliseconds. */
  async shortestLifetime(): Promise<number> {
    const all = await this.inForce();
    return Math.min(90 * day, ...all.map(({ notBefore, notAfter }) => notAfter - notBefore));
  }

  /** Asks the authority of each certificate when it would like it to be renewed (RFC 9773), and draws a point once. */
  async refreshSuggestions(random: () => number, signal: AbortSignal): Promise<void> {
    for (const set of this.sets) {
      const stored = await this.#current(set);
      if (set.issuer !== 'acme' || stored?.kind !== 'acme') continue;
      // An authority that does not answer changes nothing: its last word, or our own time, stands.
      const found = await this.#issuer.suggestion(stored, signal).catch(() => undefined);
      const known = this.log.window(set.name, stored.serial);
      if (!found || !isSensible(found, stored)) continue;
      if (known && known.start === found.start && known.end === found.end) continue;
      this.log.keepWindow(set.name, stored.serial, { ...found, point: drawPoint(found, random()) });
    }
  }

  /** Whether every name is served what is in force; somebody is told where it is not. */
  async proveServed(signal: AbortSignal): Promise<void> {
    const { alerting, served } = this.#deps;
    for (const set of this.sets) {
      const stored = await this.#current(set);
      // Before the first release the edge serves a stand-in of its own, which is worth as much.
      if (!stored || stored.kind === 'self-signed') continue;
      const wrong: string[] = [];
      let answered = 0;
      for (const name of this.namesOf(set)) {
        const serial = await served(probeName([name]), signal).catch(() => undefined);
        // An edge that does not answer has an alert of its own.
        if (serial !== undefined) answered += 1;
        if (serial !== undefined && serial !== stored.serial) wrong.push(`${name} with ${serial}`);
      }
      if (wrong.length === 0) {
        if (answered > 0) alerting.resolve(unservedAlert, { certificate: set.name });
        continue;
      }
      alerting.raise({
        name: unservedAlert,
        severity: 'critical',
        summary: `the edge serves ${wrong.join(', ')}, and ${stored.serial} is in force`,
        hint: `appliance restart edge; then: appliance certs status`,
        labels: { certificate: set.name },
      });
    }
  }

  /** An operation about a certificate has failed after it was issued: what is served did not change. */
  failed(set: string, error: { readonly message: string; readonly hint?: string | undefined }): void {
    const { nextAttempt } = this.log.state(set);
    this.log.failed(set, error.message, nextAttempt ?? this.#deps.clock.now() + day / 24);
    this.#deps.alerting.raise({
      name: failedAlert,
      severity: 'warning',
      summary: `no new certificate ${set}: ${error.message}`,
      hint: error.hint ?? 'appliance certs status',
      labels: { certificate: set },
    });
  }

  #due(set: CertificateSet, stored: Stored | undefined): string | null {
    if (set.issuer !== 'acme') {
      const missing = stored ? this.namesOf(set).filter((name) => !covers(stored.domains, name)) : [];
      return set.issuer === 'self-signed' && missing.length > 0 ? `it does not cover ${missing.join(', ')}` : null;
    }
    if (stored?.kind === 'self-signed' || !stored) return 'there is none by an authority yet';
    const missing = this.namesOf(set).filter((name) => !covers(stored.domains, name));
    if (missing.length > 0) return `it does not cover ${missing.join(', ')}`;
    const at = this.#renewAfter(set, stored);
    return at <= this.#deps.clock.now() ? `its time came at ${timestamp(at)}` : null;
  }

  #renewAfter(set: CertificateSet, stored: Stored): number {
    return renewalTime(stored, this.log.window(set.name, stored.serial));
  }

  #daysLeft({ notAfter }: Stored): number {
    return Math.floor((notAfter - this.#deps.clock.now()) / day);
  }

  /** A damaged version is as good as none: the edge has its stand-in, and a new one is due. */
  async #current({ name }: CertificateSet): Promise<Stored | undefined> {
    try {
      return await this.store.current(name);
    } catch (error) {
      if (asApplianceError(error).code !== 'state_corrupt') throw error;
      return undefined;
    }
  }
}

/** A name that a handshake can ask for: under a wildcard, any one. */
function probeName([first = 'localhost']: readonly string[]): string {
  return first.replace(/^\*\./, 'appliance-check.');
}
