import { join } from 'node:path';
import type { CertificateSet, CertificatesConfig } from '../../config/certificates.ts';
import { AcmeError } from '../../host/acme.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Account } from './account.ts';
import { type AttemptLog, exactSet } from './attempts.ts';
import { type Responder, withdraw } from './challenges.ts';
import { OrderFile, type OrderState } from './order-state.ts';
import { isOfType, newKey } from './self-signed.ts';
import type { CertificateStore } from './store.ts';

export interface OrdersDeps {
  readonly config: CertificatesConfig;
  readonly clock: Clock;
  readonly store: CertificateStore;
  readonly log: AttemptLog;
  /** Where orders under way are kept. */
  readonly directory: string;
}

/** An order to be placed or gone on with, and the key that its certificate will have. */
export interface Order {
  readonly state: OrderState;
  readonly key: string;
}

/** What one order is for. */
export interface OrderWish {
  readonly set: CertificateSet;
  readonly names: readonly string[];
  /** Address of the authority. */
  readonly directory: string;
  /** False for one that only rehearses. */
  readonly counted: boolean;
}

export interface IssueContext {
  readonly signal: AbortSignal;
  progress(text: string): void;
}

/** How answers to challenges are taken away. */
export interface Withdrawal {
  readonly responder: Responder;
  readonly progress: (text: string) => void;
}

/** Milliseconds after which an order is not gone on with: authorities forget it after a week. */
const longestOrder = 6 * 86_400_000;

/** Orders under way, on disk: whoever comes after a crash goes on with them. */
export class Orders {
  readonly #deps: OrdersDeps;

  constructor(deps: OrdersDeps) {
    this.#deps = deps;
  }

  file({ set, counted }: Pick<OrderWish, 'set' | 'counted'>): OrderFile {
    return new OrderFile(join(this.#deps.directory, 'orders'), counted ? set.name : `${set.name}.staging`);
  }

  /** Whether the authority knows of an order for a set that is not finished. */
  async isPlaced(set: CertificateSet): Promise<boolean> {
    const found = await this.file({ set, counted: true }).read();
    return found !== undefined && found.state.url !== null;
  }

  /** The order that a process before this one has left, if it is still of use; another one is thrown away. */
  async left(wish: OrderWish, withdrawal: Withdrawal, signal: AbortSignal): Promise<Order | undefined> {
    const file = this.file(wish);
    const found = await file.read();
    if (!found) return undefined;
    const { state } = found;
    const same =
      state.directory === wish.directory &&
      exactSet(state.names) === exactSet(wish.names) &&
      state.profile === (wish.set.profile ?? null) &&
      state.keyType === this.#deps.config.key.type;
    const age = this.#deps.clock.now() - state.begun;
    if (same && state.url !== null && age >= 0 && age < longestOrder) return found;
    await withdraw(state.answers, withdrawal, signal);
    // Its key was never seen by anybody: an order that nobody has heard of is placed with it.
    if (same && state.url === null) return found;
    await file.remove();
    return undefined;
  }

  /** Counted and on disk, before anybody hears of it. */
  async begin(wish: OrderWish): Promise<Order> {
    const { log, clock, config } = this.#deps;
    const { set, names, directory, counted } = wish;
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
    await this.file(wish).begin(state, key);
    return { state, key };
  }

  /** An order that cannot go on is given up; one that was only held up is left for the next attempt. */
  async failed(
    error: unknown,
    wish: OrderWish,
    account: Account,
    withdrawal: Withdrawal,
    signal: AbortSignal,
  ): Promise<void> {
    const held = error instanceof AcmeError && (error.failure === 'limited' || error.failure === 'unreachable');
    if (held) return;
    const file = this.file(wish);
    const under = await file.read();
    await withdraw(under?.state.answers ?? [], withdrawal, signal);
    await file.remove();
    // An authority that has forgotten the account gets the same key again.
    if (error instanceof AcmeError && error.type?.endsWith(':accountDoesNotExist')) await account.forget();
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
}
