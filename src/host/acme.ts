import type { Client } from 'acme-client';
import { z } from 'zod';
import { messageOf } from '../lib/errors.ts';
import { asOrder, assertGood } from './acme-answers.ts';
import { type AcmeAnswer, AcmeError, type AcmeTransport, retryAfterOf } from './acme-http.ts';
import { type AcmeClientOptions, openClient, takeRequests } from './acme-library.ts';
import {
  type AcmeAuthorization,
  type AcmeChallenge,
  type AcmeDirectory,
  type AcmeOrder,
  authorizationSchema,
  challengeSchema,
  directorySchema,
  orderSchema,
  problemSchema,
  windowSchema,
} from './acme-shapes.ts';

export { AcmeError, type AcmeTransport, acmeTransport } from './acme-http.ts';
export { type AcmeAuthorization, type AcmeDirectory, type AcmeOrder, describeProblem } from './acme-shapes.ts';

export interface AcmeServerOptions extends AcmeClientOptions {
  readonly transport: AcmeTransport;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * An authority that speaks ACME (RFC 8555), by single calls of acme-client. Nothing is retried except a rejected nonce, and
 * nothing waits: 429, 503 and silence come back as errors that say for how long.
 */
export class AcmeServer {
  readonly #options: AcmeServerOptions;
  readonly #client: Client;
  #signal: AbortSignal = new AbortController().signal;
  #answer: AcmeAnswer | undefined;
  #clockOffset: number | undefined;

  private constructor(options: AcmeServerOptions, client: Client) {
    this.#options = options;
    this.#client = client;
    takeRequests(client, (to, method, data) => this.#request(to, method, data));
  }

  static async open(options: AcmeServerOptions): Promise<AcmeServer> {
    return new AcmeServer(options, await openClient(options));
  }

  /** @throws AcmeError `not-acme` for an address that answers as something else */
  async directory(signal: AbortSignal): Promise<AcmeDirectory> {
    const answer = await this.#options.transport(this.#options.directory, { method: 'GET', signal });
    assertGood(answer, this.#options.now());
    const date = Date.parse(answer.headers.date ?? '');
    this.#clockOffset = Number.isNaN(date) ? undefined : date - this.#options.now();
    const found = directorySchema.safeParse(answer.data);
    if (found.success) return found.data;
    throw new AcmeError(
      'not-acme',
      `${this.#options.directory} is no ACME directory: it has no newNonce, newAccount and newOrder`,
    );
  }

  /** Milliseconds that the clock of the authority was ahead of ours when it last sent its directory, if it said so. */
  get clockOffset(): number | undefined {
    return this.#clockOffset;
  }

  /** Registers the key, or finds the account that it has. @returns its address */
  async register(email: string | undefined, signal: AbortSignal): Promise<string> {
    await this.#call(signal, () =>
      this.#client.createAccount({
        termsOfServiceAgreed: true,
        ...(email === undefined ? {} : { contact: [`mailto:${email}`] }),
      }),
    );
    return this.#client.getAccountUrl();
  }

  /** @param replaces identifier of the certificate that is renewed (RFC 9773 §5), see `renewalInfoId` */
  newOrder(
    about: {
      readonly names: readonly string[];
      readonly addresses: readonly string[];
      readonly profile?: string | undefined;
      readonly replaces?: string | undefined;
    },
    signal: AbortSignal,
  ): Promise<AcmeOrder> {
    const request = {
      identifiers: [
        ...about.names.map((value) => ({ type: 'dns', value })),
        ...about.addresses.map((value) => ({ type: 'ip', value })),
      ],
      ...(about.profile === undefined ? {} : { profile: about.profile }),
      ...(about.replaces === undefined ? {} : { replaces: about.replaces }),
    };
    return this.#call(signal, async () => orderSchema.parse(await this.#client.createOrder(request)));
  }

  order(order: Pick<AcmeOrder, 'url'>, signal: AbortSignal): Promise<AcmeOrder> {
    return this.#call(signal, async () => orderSchema.parse(await this.#client.getOrder(asOrder(order))));
  }

  /** One after the other: a hundred at once would look like an attack. */
  async authorizations(order: AcmeOrder, signal: AbortSignal): Promise<AcmeAuthorization[]> {
    const all: AcmeAuthorization[] = [];
    for (const one of order.authorizations) all.push(await this.authorization(one, signal));
    return all;
  }

  authorization(at: string, signal: AbortSignal): Promise<AcmeAuthorization> {
    return this.#call(signal, async () => {
      const [found] = await this.#client.getAuthorizations(asOrder({ url: '', authorizations: [at] }));
      const { challenges, ...rest } = authorizationSchema.parse(found);
      return { ...rest, challenges: challenges.flatMap((one) => challengeSchema.safeParse(one).data ?? []) };
    });
  }

  /** What the answer to a challenge must contain. */
  keyAuthorization({ type, token }: AcmeChallenge): Promise<string> {
    const kind = type === 'dns-01' ? 'dns-01' : 'http-01';
    return this.#client.getChallengeKeyAuthorization({ type: kind, token, url: '', status: 'pending' });
  }

  /** Tells the authority that it may look. */
  async accept({ url: at, token }: AcmeChallenge, signal: AbortSignal): Promise<void> {
    await this.#call(signal, () =>
      this.#client.completeChallenge({ type: 'http-01', token, url: at, status: 'pending' }),
    );
  }

  /** @param key of the certificate, PEM */
  finalize(order: AcmeOrder, key: string, signal: AbortSignal): Promise<AcmeOrder> {
    return this.#call(signal, async () => {
      const { default: acme } = await import('acme-client');
      const [, request] = await acme.crypto.createCsr({ altNames: order.identifiers.map(({ value }) => value) }, key);
      return orderSchema.parse(await this.#client.finalizeOrder(asOrder(order), request));
    });
  }

  /**
   * The chain that the authority offers first, or of those beside it (RFC 8555 §7.4.2) the one that is wanted.
   * @param wanted common name of an issuer in it; where none has it, the first one
   */
  certificate(order: AcmeOrder, wanted: string | undefined, signal: AbortSignal): Promise<string> {
    return this.#call(signal, async () => z.string().parse(await this.#client.getCertificate(asOrder(order), wanted)));
  }

  /**
   * When the authority would like a certificate to be renewed (RFC 9773 §4).
   * @param id see `renewalInfoId`
   * @returns milliseconds since 1970; undefined where it has no opinion, or none that can be read
   */
  async renewalWindow(id: string, signal: AbortSignal): Promise<{ start: number; end: number } | undefined> {
    const { renewalInfo } = await this.directory(signal);
    if (renewalInfo === undefined) return undefined;
    const answer = await this.#options.transport(`${renewalInfo.replace(/\/$/, '')}/${id}`, { method: 'GET', signal });
    if (answer.status === 404) return undefined;
    assertGood(answer, this.#options.now());
    const { data } = windowSchema.safeParse(answer.data);
    return data && { start: Date.parse(data.suggestedWindow.start), end: Date.parse(data.suggestedWindow.end) };
  }

  /** What the last answer said about when to ask again, in milliseconds. */
  get retryAfter(): number | undefined {
    return retryAfterOf(this.#answer?.headers['retry-after'], this.#options.now());
  }

  async #call<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    this.#signal = signal;
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof AcmeError) throw error;
      const what =
        error instanceof z.ZodError ? `its answer has another shape: ${z.prettifyError(error)}` : messageOf(error);
      throw new AcmeError('not-acme', `the authority does not speak ACME as it should: ${what}`, { cause: error });
    }
  }

  async #request(to: string, method: string, data: unknown): Promise<AcmeAnswer> {
    const answer = await this.#options.transport(to, {
      method: method.toUpperCase(),
      signal: this.#signal,
      ...(data === undefined ? {} : { body: JSON.stringify(data) }),
    });
    this.#answer = answer;
    // A rejected nonce is the library's to answer, with the next one (RFC 8555 §6.5).
    if (problemSchema.safeParse(answer.data).data?.type !== 'urn:ietf:params:acme:error:badNonce')
      assertGood(answer, this.#options.now());
    return answer;
  }
}
