import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { domainToASCII } from 'node:url';
import { covers } from '../../config/certificate-names.ts';
import { serialText } from '../../lib/certificates.ts';
import { ApplianceError, messageOf } from '../../lib/errors.ts';

/** What a chain says of itself. Times are milliseconds since 1970. */
export interface ChainFacts {
  readonly domains: readonly string[];
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
  readonly issuer: string;
  readonly selfSigned: boolean;
  /** The server's own first. */
  readonly certificates: readonly [X509Certificate, ...X509Certificate[]];
}

const block = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;
/** A clock may be a little slow. Milliseconds. */
const skew = 5 * 60_000;

/** @throws ApplianceError `certificate_invalid` for a text that holds no certificate */
export function readChain(pem: string, where: string): ChainFacts {
  let certificates: X509Certificate[];
  try {
    certificates = (pem.match(block) ?? []).map((text) => new X509Certificate(text));
  } catch (error) {
    throw invalid(`${where} holds a certificate that cannot be read: ${messageOf(error)}`);
  }
  const [first, ...rest] = certificates;
  if (!first) throw invalid(`${where} holds no certificate in PEM`);
  return {
    domains: namesOf(first),
    serial: serialText(first.serialNumber),
    notBefore: first.validFromDate.getTime(),
    notAfter: first.validToDate.getTime(),
    issuer: commonName(first.issuer) ?? commonName(first.subject) ?? 'unknown',
    selfSigned: first.checkIssued(first) && first.verify(first.publicKey),
    certificates: [first, ...rest],
  };
}

/**
 * Refuses a key and a chain that would not work together: the key is another one's, the chain has a gap or another order,
 * the names are not covered, or it has ended or not begun. Whether clients trust its root nobody here can know.
 * @param names that it must cover, normalised
 * @param now milliseconds since 1970
 * @throws ApplianceError `certificate_invalid`; no message contains anything of the key
 */
export function checkPair(key: string, chain: ChainFacts, names: readonly string[], now: number): void {
  const [leaf, ...signers] = chain.certificates;
  if (!leaf.checkPrivateKey(readKey(key)))
    throw invalid('the key does not belong to the certificate', 'bring both files of the same order');
  if (chain.notAfter <= now) throw invalid(`the certificate has ended at ${new Date(chain.notAfter).toISOString()}`);
  if (chain.notBefore > now + skew)
    throw invalid(
      `the certificate begins only at ${new Date(chain.notBefore).toISOString()}`,
      'look at the clock of this host: date -u',
    );
  let below = leaf;
  for (const signer of signers) {
    if (!below.checkIssued(signer) || !below.verify(signer.publicKey))
      throw invalid(
        `the chain has a gap: ${nameOf(signer)} did not sign ${nameOf(below)}`,
        'put the server certificate first, then each one that signed the one before it',
      );
    if (signer.validToDate.getTime() <= now) throw invalid(`${nameOf(signer)} in the chain has ended`);
    below = signer;
  }
  if (signers.length === 0 && !chain.selfSigned && leaf.infoAccess?.includes('CA Issuers'))
    throw invalid(
      `the chain is not complete: ${chain.issuer}, which signed the certificate, is missing`,
      'append the intermediate certificates; an authority offers them as chain or fullchain',
    );
  const missing = names.filter((name) => !covers(chain.domains, name));
  if (missing.length > 0)
    throw invalid(
      `the certificate does not cover ${missing.join(', ')}`,
      `it is for ${chain.domains.join(', ') || 'no name at all'}`,
    );
}

function readKey(pem: string): KeyObject {
  try {
    return createPrivateKey(pem);
  } catch {
    // What OpenSSL says may quote the file.
    throw invalid(
      /ENCRYPTED/.test(pem) ? 'the key is protected by a passphrase' : 'the key is no private key in PEM',
      /ENCRYPTED/.test(pem) ? 'write it without one: openssl pkey -in KEY -out PLAIN' : undefined,
    );
  }
}

function namesOf({ subjectAltName }: X509Certificate): string[] {
  const parts = (subjectAltName ?? '').split(/,\s*/);
  return parts.flatMap((part) => {
    const [, kind, value = ''] = /^(DNS|IP Address):"?([^"]+)"?$/.exec(part) ?? [];
    if (kind === 'IP Address') return [value.toLowerCase()];
    return kind === 'DNS' ? [value.startsWith('*.') ? `*.${domainToASCII(value.slice(2))}` : domainToASCII(value)] : [];
  });
}

function commonName(text: string): string | undefined {
  return /^CN=(.*)$/m.exec(text)?.[1] ?? /^O=(.*)$/m.exec(text)?.[1];
}

function nameOf({ subject, serialNumber }: X509Certificate): string {
  return commonName(subject) ?? `certificate ${serialNumber}`;
}

function invalid(what: string, hint?: string): ApplianceError {
  return new ApplianceError('certificate_invalid', what, { left: 'the certificate in force stays', hint });
}
