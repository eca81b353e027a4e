import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { AcmeConfig, CertificateSet } from '../../config/certificates.ts';
import { type AcmeDirectory, AcmeError, AcmeServer, type AcmeTransport, acmeTransport } from '../../host/acme.ts';
import type { Clock } from '../../lib/clock.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { didYouMean } from '../../lib/near.ts';
import { formatDuration } from '../../lib/units.ts';
import { Account, externalKey } from './account.ts';
import type { AttemptLog } from './attempts.ts';
import { toldOf } from './failures.ts';

export interface AuthorityDeps {
  readonly acme: AcmeConfig;
  readonly clock: Clock;
  readonly log: AttemptLog;
  /** Where accounts are kept. */
  readonly directory: string;
  /** Stands in for the network. */
  readonly transport?: AcmeTransport | undefined;
}

/** Milliseconds for one request to an authority. */
const requestTimeout = 30_000;
/** Milliseconds by which clocks may differ: Let's Encrypt dates certificates back by an hour, so up to there they work. */
const clockTolerance = 3_600_000;

/** The authorities that are asked: the one that issues, and the staging one. */
export class Authority {
  readonly #deps: AuthorityDeps;

  constructor(deps: AuthorityDeps) {
    this.#deps = deps;
  }

  /** @throws ApplianceError `config_missing`, `config_invalid` for files that appliance.yaml names */
  async open(address: string): Promise<{ server: AcmeServer; account: Account }> {
    const { acme, clock, directory, transport } = this.#deps;
    const { root, externalAccount } = acme;
    const account = new Account(join(directory, 'account'), address);
    const server = await AcmeServer.open({
      directory: address,
      accountKey: await account.key(),
      accountUrl: await account.url(),
      externalAccount: externalAccount && {
        keyId: externalAccount.keyId,
        hmacKey: await externalKey(externalAccount.hmacFile),
      },
      transport:
        transport ??
        acmeTransport({ root: root === undefined ? undefined : await readRoot(root), timeout: requestTimeout }),
      now: () => clock.now(),
    });
    return { server, account };
  }

  /**
   * What an authority says of itself, when an attempt for a set can succeed by it.
   * @throws AcmeError; ApplianceError `config_invalid`; `certificate_refused` where the clocks differ
   */
  async fit(server: AcmeServer, set: CertificateSet, signal: AbortSignal): Promise<AcmeDirectory> {
    const about = await server.directory(signal);
    const { profiles, externalAccountRequired } = about.meta;
    this.#assertClock(server);
    if (externalAccountRequired && !this.#deps.acme.externalAccount)
      throw misfit(
        'the authority asks for an External Account Binding',
        'give certificates.acme.externalAccount what it gave you',
      );
    if (set.profile !== undefined && !(profiles && set.profile in profiles)) {
      const known = Object.keys(profiles ?? {});
      throw misfit(
        `the authority has no profile ${set.profile}`,
        known.length === 0
          ? 'it has none at all: leave certificates.acme.profile out'
          : (didYouMean(set.profile, known) ?? `it has ${known.join(', ')}`),
      );
    }
    return about;
  }

  /**
   * Gives an authority's failure to people, and keeps when it may be asked again.
   * @param address remembered with what it asks for
   */
  async told<T>(work: () => Promise<T>, address = this.#deps.acme.directory): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof AcmeError)) throw error;
      const now = this.#deps.clock.now();
      if (error.failure === 'limited' && error.retryAfter !== undefined)
        this.#deps.log.note(address, 'retry-after', '*', now + error.retryAfter);
      throw toldOf(error, now);
    }
  }

  /** By a clock that is wrong, each new certificate has ended or not begun, and limits are counted in another week. */
  #assertClock({ clockOffset }: AcmeServer): void {
    if (clockOffset === undefined || Math.abs(clockOffset) <= clockTolerance) return;
    const by = formatDuration(Math.abs(clockOffset));
    throw new ApplianceError(
      'certificate_refused',
      `the clock of this host is ${by} ${clockOffset > 0 ? 'behind' : 'ahead of'} that of the authority`,
      { left: 'no attempt was spent', hint: 'set it: timedatectl set-ntp true; date -u shows it' },
    );
  }
}

function misfit(what: string, hint: string): ApplianceError {
  return new ApplianceError('config_invalid', what, { left: 'no attempt was spent', hint });
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
