import type { Client } from 'acme-client';
import { z } from 'zod';
import type { AcmeAnswer } from './acme-http.ts';

/** Who asks whom. */
export interface AcmeClientOptions {
  readonly directory: string;
  /** PEM. */
  readonly accountKey: string;
  /** Undefined before the account is registered. */
  readonly accountUrl?: string | undefined;
  readonly externalAccount?: { readonly keyId: string; readonly hmacKey: string } | undefined;
}

/** The library's own HTTP client, which retries and waits as it likes; only its signatures are used. */
const innerSchema = z.object({
  http: z.custom<{ maxBadNonceRetries: number }>(
    (value) => z.object({ maxBadNonceRetries: z.int() }).safeParse(value).success,
  ),
});

/**
 * How often a request is sent again whose nonce was rejected, as RFC 8555 §6.5 asks. The library's five are too few for an
 * authority that rejects one in five, as tests do: one request in 15,625 then fails, and a renewal makes several.
 */
const nonceRetries = 20;

export async function openClient(options: AcmeClientOptions): Promise<Client> {
  // Loaded when it is needed: two renewals a year do not pay for megabytes of every process.
  const { default: acme } = await import('acme-client');
  const { directory, accountKey, accountUrl, externalAccount } = options;
  return new acme.Client({
    directoryUrl: directory,
    accountKey,
    ...(accountUrl === undefined ? {} : { accountUrl }),
    ...(externalAccount
      ? { externalAccountBinding: { kid: externalAccount.keyId, hmacKey: externalAccount.hmacKey } }
      : {}),
  });
}

/** From here on the library's requests are this one's. */
export function takeRequests(
  client: Client,
  request: (to: string, method: string, data: unknown) => Promise<AcmeAnswer>,
): void {
  const { http } = innerSchema.parse(client);
  http.maxBadNonceRetries = nonceRetries;
  Object.defineProperty(http, 'request', {
    value: (to: string, method: string, given: { data?: unknown } = {}) => request(to, method, given.data),
  });
}
