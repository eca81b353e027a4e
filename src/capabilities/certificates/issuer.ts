import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { normaliseNames } from '../../config/certificate-names.ts';
import { type AcmeConfig, type CertificateSet, type CertificatesConfig, stagingOf } from '../../config/certificates.ts';
import { type AcmeDirectory, AcmeError, AcmeServer, type AcmeTransport, acmeTransport } from '../../host/acme.ts';
import type { NameService } from '../../host/dns.ts';
import type { Clock } from '../../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../../lib/errors.ts';
import { didYouMean } from '../../lib/near.ts';
import { Account, externalKey } from './account.ts';
import { type AttemptLog, exactSet } from './attempts.ts';
import { allowance } from './budget.ts';
import type { Responder } from './challenges.ts';
import { limited, toldOf } from './failures.ts';
import { completeOrder, withdraw } from './order.ts';
import { OrderFile, type OrderState } from './order-state.ts';
import { preflight } from './preflight.ts';
import { renewalInfoId } from './renewal-info.ts';
import { isOfType, newKey } from './self-signed.ts';
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

export interface IssueContext {
  readonly signal: AbortSignal;
  progress(text: string): void;
}

/** Milliseconds for one request to an authority. */
const requestTimeout = 30_000;
/** Milliseconds after which an order is not gone on with: authorities forget it after a week. */
const longestOrder = 6 * 86_400_000;

/** Gets certificates from an ACME authority, within its limits and ours. */
export class AcmeIssuer {
  readonly #deps: IssuerDeps;
  readonly #acme: AcmeConfig;

  constructor(deps: IssuerDeps) {
    this.#deps = deps;
    this.#acme = deps.config.acme;
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
    if (careful && this.staging !== undefined && !(await this.#underWay(set))) {
      context.progress('the last attempt failed: rehearsing against the staging directory first');
      await this.rehearse(set, context);
    }
    const { directory } = this.#acme;
    const { key, chain } = await this.#attempt(set, names, { directory, counted: true, replaced }, context);
    const now = clock.now();
    const content = { key, chain, meta: { kind: 'acme', source: null, directory } } as const;
    const file = this.#file(set, true);
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
    await this.#attempt(set, this.namesOf(set), { directory, counted: false, replaced: undefined }, context);
    await this.#file(set, false).remove();
  }

  /** What can be seen without an attempt: the directory, the profile, DNS, CAA, port 80. */
  async look(set: CertificateSet, context: IssueContext): Promise<void> {
    const server = await this.#open(this.#acme.directory);
    const about = await this.#told(() => this.#directory(server.server, set, context.signal));
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
  async suggestion({ chainPath }: Stored, signal: AbortSignal): Promise<{ start: number; end: number } | undefined> {
    const id = await renewalInfoId(await readFile(chainPath, 'utf8'));
    if (id === undefined) return undefined;
    const { server } = await this.#open(this.#acme.directory);
    return server.renewalWindow(id, signal);
  }

  async #attempt(
    set: CertificateSet,
    names: readonly string[],
    where: { readonly directory: string; readonly counted: boolean; readonly replaced: Stored | undefined },
    context: IssueContext,
  ): Promise<{ key: string; chain: string }> {
    const { clock } = this.#deps;
    const file = this.#file(set, where.counted);
    const { server, account } = await this.#open(where.directory);
    const until = clock.monotonic() + this.#acme.patience;
    const responder = this.#deps.responder(set.challenge);
    return this.#told(async () => {
      const about = await this.#directory(server, set, context.signal);
      let found = await this.#resumable(set, names, where.directory, file, context);
      if (!found) {
        await this.#preflight(set, names, about, context);
        found = await this.#begin(set, names, where, file);
      } else context.progress('going on with the order that is under way');
      if ((await account.url()) === undefined) {
        context.progress('registering an account');
        await account.remember(await server.register(this.#acme.email, context.signal));
      }
      const replaces =
        about.renewalInfo === undefined || where.replaced?.directory !== where.directory
          ? undefined
          : await this.#idOf(where.replaced);
      const deps = {
        server,
        clock,
        file,
        responder,
        challenge: set.challenge,
        onFailed: (name: string) => this.#deps.log.note(where.directory, 'failed-validation', name, clock.now()),
        progress: context.progress,
      };
      try {
        return {
          key: found.key,
          chain: await completeOrder(found.state, found.key, { replaces, until }, deps, context.signal),
        };
      } catch (error) {
        context.signal.throwIfAborted();
        await this.#forget(error, file, { responder, progress: context.progress }, account, context.signal);
        throw error;
      }
    }, where.directory);
  }

  /** An order that cannot go on is given up; one that was only held up is left for the next attempt. */
  async #forget(
    error: unknown,
    file: OrderFile,
    deps: Pick<Parameters<typeof completeOrder>[3], 'responder' | 'progress'>,
    account: Account,
    signal: AbortSignal,
  ): Promise<void> {
    const held = error instanceof AcmeError && (error.failure === 'limited' || error.failure === 'unreachable');
    if (held) return;
    const under = await file.read();
    await withdraw(under?.state.answers ?? [], deps, signal);
    await file.remove();
    // An authority that has forgotten the account gets the same key again.
    if (error instanceof AcmeError && error.type?.endsWith(':accountDoesNotExist')) await account.forget();
  }

  async #begin(
    set: CertificateSet,
    names: readonly string[],
    { directory, counted }: { readonly directory: string; readonly counted: boolean },
    file: OrderFile,
  ): Promise<{ state: OrderState; key: string }> {
    const { log, clock, config } = this.#deps;
    if (counted) log.note(directory, 'begun', exactSet(names), clock.now());
    const state: OrderState = {
      directory,
      names: [...names],
      profile: set.profile ?? null,
      keyType: config.key.type,
      begun: clock.now(),
      url: null,
      answers: [],
    };
    const key = await this.#key(set);
    await file.begin(state, key);
    return { state, key };
  }

  /** A new key each time, unless clients pin the one in force. */
  async #key(set: CertificateSet): Promise<string> {
    const { store, config } = this.#deps;
    const current = config.key.pin ? await store.current(set.name) : undefined;
    if (current && current.kind !== 'self-signed') {
      const key = await store.key(current);
      if (isOfType(key, config.key.type)) return key;
    }
    return newKey(config.key.type);
  }

  async #resumable(
    set: CertificateSet,
    names: readonly string[],
    directory: string,
    file: OrderFile,
    context: IssueContext,
  ): Promise<{ state: OrderState; key: string } | undefined> {
    const found = await file.read();
    if (!found) return undefined;
    const { state } = found;
    const same =
      state.directory === directory &&
      exactSet(state.names) === exactSet(names) &&
      state.profile === (set.profile ?? null) &&
      state.keyType === this.#deps.config.key.type;
    const age = this.#deps.clock.now() - state.begun;
    if (same && state.url !== null && age >= 0 && age < longestOrder) return found;
    await withdraw(
      state.answers,
      { responder: this.#deps.responder(set.challenge), progress: context.progress },
      context.signal,
    );
    // Its key was never seen by anybody: an order that nobody has heard of is placed with it.
    if (same && state.url === null) return found;
    await file.remove();
    return undefined;
  }

  async #underWay(set: CertificateSet): Promise<boolean> {
    const found = await this.#file(set, true).read();
    return found !== undefined && found.state.url !== null;
  }

  async #directory(server: AcmeServer, set: CertificateSet, signal: AbortSignal): Promise<AcmeDirectory> {
    const about = await server.directory(signal);
    const { profiles, externalAccountRequired } = about.meta;
    const refuse = (what: string, hint: string | undefined) =>
      new ApplianceError('config_invalid', what, { left: 'no attempt was spent', hint });
    if (externalAccountRequired && !this.#acme.externalAccount)
      throw refuse(
        'the authority asks for an External Account Binding',
        'give certificates.acme.externalAccount what it gave you',
      );
    if (set.profile !== undefined && !(profiles && set.profile in profiles)) {
      const known = Object.keys(profiles ?? {});
      throw refuse(
        `the authority has no profile ${set.profile}`,
        known.length === 0
          ? 'it has none at all: leave certificates.acme.profile out'
          : (didYouMean(set.profile, known) ?? `it has ${known.join(', ')}`),
      );
    }
    return about;
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

  async #open(directory: string): Promise<{ server: AcmeServer; account: Account }> {
    const { root, externalAccount } = this.#acme;
    const account = new Account(join(this.#deps.directory, 'account'), directory);
    const server = await AcmeServer.open({
      directory,
      accountKey: await account.key(),
      accountUrl: await account.url(),
      externalAccount: externalAccount && {
        keyId: externalAccount.keyId,
        hmacKey: await externalKey(externalAccount.hmacFile),
      },
      transport:
        this.#deps.transport ??
        acmeTransport({ root: root === undefined ? undefined : await readRoot(root), timeout: requestTimeout }),
      now: () => this.#deps.clock.now(),
    });
    return { server, account };
  }

  async #idOf({ chainPath }: Stored): Promise<string | undefined> {
    return renewalInfoId(await readFile(chainPath, 'utf8'));
  }

  /** @param directory remembered with what it asks for */
  async #told<T>(work: () => Promise<T>, directory = this.#acme.directory): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof AcmeError)) throw error;
      const now = this.#deps.clock.now();
      if (error.failure === 'limited' && error.retryAfter !== undefined)
        this.#deps.log.note(directory, 'retry-after', '*', now + error.retryAfter);
      throw toldOf(error, now);
    }
  }

  #file(set: CertificateSet, counted: boolean): OrderFile {
    return new OrderFile(join(this.#deps.directory, 'orders'), counted ? set.name : `${set.name}.staging`);
  }
}

async function readRoot(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new ApplianceError('config_missing', `${path} cannot be read`, {
      left: 'no attempt was spent',
      hint: 'certificates.acme.root in appliance.yaml names it',
      cause,
    });
  }
}
