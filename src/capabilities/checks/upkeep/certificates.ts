import { X509Certificate } from 'node:crypto';
import { readIfPresent } from '../../../host/files.ts';
import { ApplianceError, messageOf } from '../../../lib/errors.ts';

export interface CertificateEnd {
  /** First name that it is for. */
  readonly domain: string;
  /** Milliseconds since 1970. */
  readonly notAfter: number;
}

/**
 * When a certificate ends (S1-60).
 * @param path of a file in PEM; of a chain the first one counts, which is the server's own
 * @returns undefined while there is none: the edge makes one when it first starts
 * @throws ApplianceError `state_corrupt` for a file that holds none
 */
export async function certificateEnd(path: string): Promise<CertificateEnd | undefined> {
  const text = await readIfPresent(path);
  if (text === undefined) return undefined;
  try {
    const { validToDate, subjectAltName, subject } = new X509Certificate(text);
    const named = /DNS:([^,\s]+)/.exec(subjectAltName ?? '')?.[1] ?? /CN=([^\n]+)/.exec(subject)?.[1];
    return { domain: named ?? 'unknown', notAfter: validToDate.getTime() };
  } catch (error) {
    throw new ApplianceError('state_corrupt', `${path} holds no certificate: ${messageOf(error)}`, {
      left: 'the edge goes on with the one that it has loaded',
      cause: error,
    });
  }
}
