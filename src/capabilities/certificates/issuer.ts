import { normaliseNames } from '../../config/certificate-names.ts';
import { type AcmeConfig, type CertificateSet, type CertificatesConfig, stagingOf } from '../../config/certificates.ts';
import type { AcmeDirectory, AcmeTransport } from '../../host/acme.ts';
import type { NameService } from '../../host/dns.ts';
import type { Clock } from '../../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../../lib/errors.ts';
import { type AttemptLog, exactSet } from './attempts.ts';
import { Authority } from './authority.ts';
import { allowance } from './budget.ts';
import type { Responder } from './challenges.ts';
import { limited } from './failures.ts';
import { completeOrder } from './order.ts';
import { type IssueContext, Orders, type OrderWish } from './orders.ts';
import { preflight } from './preflight.ts';
import { renewalInfoId } from './renewal-info.ts';
import type { CertificateStore, Stored } from './store.ts';

export interface IssuerDeps {
  readonly config: CertificatesConfig;
  readonly clock: Clock;
  readonly store: CertificateStore;
  readonly log: AttemptLog;
  /** Accounts and orders under way; nobody else reads it. */
  readonly directory: string;
  readonly responder: (challenge: CertificateSet['challenge']) => Responder;
  readonly names: NameService;
  /** Port on which the preflight looks: 80, where authorities look. */
  readonly port: number;
  /** Stands in for the network. */
  readonly transport?: AcmeTransport;
}

/** Gets certificates from an ACME authority, within its limits and ours. */
export class AcmeIssuer {
  readonly #deps: IssuerDeps;
  readonly #acme: AcmeConfig;
  readonly #authority: Authority;
  readonly #orders: Orders;

  constructor(deps: IssuerDeps) {
    this.#deps = deps;
    this.#acme = deps.config.acme;
    this.#authority = new Authority({ ...deps, acme: deps.config.acme });
    this.#orders = new Orders(deps);
  }

  /** Where a rehearsal goes; undefined where nobody has named one. */
  get staging(): string | undefined {
    return stagingOf(this.#acme);
  }

  /** The names of a set as its certificate bears them. @throws ApplianceError `certificate_invalid` */
  namesOf({ domains, challenge, profile }: CertificateSet): string[] {
    return normaliseNames(domains, { challenge, addresses: profile !== undefined });
  }

  /**
   * A new certificate, on disk but not in force.
   * @param careful try the staging directory first, as after a failure
   * @param replaced the one in force, if it is from the same authority
   * @throws ApplianceError `certificate_limited` with when it may be tried again; `certificate_refused`, `certificate_invalid`,
   *   `authority_unreachable`, `config_invalid`
   */
  async issue(
    set: CertificateSet,
    { replaced, careful }: { readonly replaced: Stored | undefined; readonly careful?: boolean },
    context: IssueContext,
  ): Promise<Stored> {
    const { log, clock, store } = this.#deps;
    const names = this.namesOf(set);
    this.assertAllowed(names);
    if (careful && this.staging !== undefined && !(await this.isUnderWay(set))) {
      context.progress('the last attempt failed: rehearsing against the staging directory first');
      await this.rehearse(set, context);
    }
    const { directory } = this.#acme;
    const { key, chain } = await this.#attempt({ set, names, directory, counted: true }, replaced, context);
    const now = clock.now();
    const content = { key, chain, meta: { kind: 'acme', source: null, directory } } as const;
    const file = this.#orders.file({ set, counted: true });
    try {
      const stored = await store.add(set.name, content, names, now);
      log.note(directory, 'issued', exactSet(names), now);
      await file.remove();
      return stored;
    } catch (error) {
      const told = asApplianceError(error);
      if (told.code !== 'certificate_invalid') throw error;
      // The same order would give the same again.
      await file.remove();
      throw new ApplianceError(
        'certificate_refused',
        `the authority gave a certificate that cannot be used: ${told.message}`,
        {
          left: told.left,
          hint: told.hint,
          cause: error,
        },
      );
    }
  }

  /** Everything but the certificate: against the staging directory, with another order and account. Nothing is kept. */
  async rehearse(set: CertificateSet, context: IssueContext): Promise<void> {
    const { staging: directory } = this;
    if (directory === undefined) return;
    const wish = { set, names: this.namesOf(set), directory, counted: false };
    await this.#attempt(wish, undefined, context);
    await this.#orders.file(wish).remove();
  }

  /** Whether an order is placed and not finished: going on with it spends nothing. */
  isUnderWay(set: CertificateSet): Promise<boolean> {
    return this.#orders.isPlaced(set);
  }

  /** What can be seen without an attempt: the directory, the profile, DNS, CAA, port 80. */
  async look(set: CertificateSet, context: IssueContext): Promise<void> {
    const { server } = await this.#authority.open(this.#acme.directory);
    const about = await this.#authority.told(() => this.#authority.fit(server, set, context.signal));
    await this.#preflight(set, this.namesOf(set), about, context);
  }

  /** @throws ApplianceError `certificate_limited` with when the next attempt is possible */
  assertAllowed(names: readonly string[]): void {
    const { log, clock } = this.#deps;
    const now = clock.now();
    const answer = allowance(log.spent(this.#acme.directory, names, now), this.#acme, now);
    if (!answer.allowed) throw limited(answer.why, answer.until, now);
  }

  /** What the authority suggests for a certificate (RFC 9773). @throws AcmeError, the reason of the signal */
  async suggestion(stored: Stored, signal: AbortSignal): Promise<{ start: number; end: number } | undefined> {
    const id = await renewalInfoId(stored);
    if (id === undefined) return undefined;
    const { server } = await this.#authority.open(this.#acme.directory);
    return server.renewalWindow(id, signal);
  }

  async #attempt(
    wish: OrderWish,
    replaced: Stored | undefined,
    context: IssueContext,
  ): Promise<{ key: string; chain: string }> {
    const { clock, log } = this.#deps;
    const { set, names, directory } = wish;
    const { server, account } = await this.#authority.open(directory);
    const until = clock.monotonic() + this.#acme.patience;
    const responder = this.#deps.responder(set.challenge);
    const withdrawal = { responder, progress: context.progress };
    return this.#authority.told(async () => {
      const about = await this.#authority.fit(server, set, context.signal);
      let found = await this.#orders.left(wish, withdrawal, context.signal);
      if (!found) {
        await this.#preflight(set, names, about, context);
        found = await this.#orders.begin(wish);
      } else context.progress('going on with the order that is under way');
      if ((await account.url()) === undefined) {
        context.progress('registering an account');
        await account.remember(await server.register(this.#acme.email, context.signal));
      }
      const replaces =
        about.renewalInfo === undefined || replaced?.directory !== directory
          ? undefined
          : await renewalInfoId(replaced);
      const deps = {
        server,
        clock,
        file: this.#orders.file(wish),
        challenge: set.challenge,
        chain: this.#acme.chain,
        onFailed: (name: string) => log.note(directory, 'failed-validation', name, clock.now()),
        ...withdrawal,
      };
      const { state, key } = found;
      try {
        return { key, chain: await completeOrder(state, key, { replaces, until }, deps, context.signal) };
      } catch (error) {
        context.signal.throwIfAborted();
        await this.#orders.failed(error, wish, account, withdrawal, context.signal);
        throw error;
      }
    }, directory);
  }

  async #preflight(
    set: CertificateSet,
    names: readonly string[],
    about: AcmeDirectory,
    context: IssueContext,
  ): Promise<void> {
    if (!this.#acme.preflight) return;
    context.progress('looking at DNS and port 80');
    const { names: service, port } = this.#deps;
    const deps = { names: service, port, responder: this.#deps.responder(set.challenge) };
    await preflight(names, set.challenge, about.meta.caaIdentities ?? [], deps, context.signal);
  }
}
