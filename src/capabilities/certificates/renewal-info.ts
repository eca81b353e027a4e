import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { CertificatePair } from '../../lib/certificates.ts';

/**
 * How an authority knows a certificate when it is asked about its renewal (RFC 9773 §4.1): the key identifier of its
 * issuer and its serial number, both base64url, joined by a dot.
 * @returns undefined for one that does not name the key of its issuer
 */
export async function renewalInfoId({ chainPath }: Pick<CertificatePair, 'chainPath'>): Promise<string | undefined> {
  const { default: x509 } = await import('@peculiar/x509');
  // Of the chain the first certificate counts.
  const leaf = new X509Certificate(await readFile(chainPath));
  const extension = new x509.X509Certificate(leaf.raw).getExtension(x509.AuthorityKeyIdentifierExtension);
  if (extension?.keyId === undefined) return undefined;
  return `${Buffer.from(extension.keyId, 'hex').toString('base64url')}.${serialBytes(leaf.serialNumber).toString('base64url')}`;
}

/** Content of the DER integer: a first byte above 127 gets a zero before it, so that it is no negative number. */
function serialBytes(hex: string): Buffer {
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return (bytes[0] ?? 0) > 127 ? Buffer.concat([Buffer.from([0]), bytes]) : bytes;
}
