import { createPrivateKey, generateKeyPair, randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import { promisify } from 'node:util';
import type { KeyType } from '../../config/certificates.ts';

const day = 86_400_000;
/** Longest that Apple's clients accept of a certificate that somebody has told them to trust (support.apple.com/103769). */
const lifetime = 825 * day;

/** A private key in PEM (PKCS #8). P-256 by default; RSA for clients that know nothing else. */
export async function newKey(type: KeyType): Promise<string> {
  const generate = promisify(generateKeyPair);
  const { privateKey } = type.startsWith('rsa-')
    ? await generate('rsa', { modulusLength: Number(type.slice(4)) })
    : await generate('ec', { namedCurve: type === 'ec-p384' ? 'P-384' : 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}

/** Whether a key is of the type that is asked for: a pinned one of another type is replaced. */
export function isOfType(pem: string, type: KeyType): boolean {
  const { asymmetricKeyType, asymmetricKeyDetails } = createPrivateKey(pem);
  if (type.startsWith('rsa-'))
    return asymmetricKeyType === 'rsa' && asymmetricKeyDetails?.modulusLength === Number(type.slice(4));
  const curve = type === 'ec-p384' ? 'secp384r1' : 'prime256v1';
  return asymmetricKeyType === 'ec' && asymmetricKeyDetails?.namedCurve === curve;
}

/**
 * A certificate that signs itself, so that nginx can start before anybody has issued one.
 * @param now milliseconds since 1970; it begins an hour earlier, for clients whose clock is slow
 */
export async function selfSigned(names: readonly string[], now: number): Promise<{ key: string; chain: string }> {
  // Loaded here alone: it is large, and needed once in the life of an appliance.
  const { default: x509 } = await import('@peculiar/x509');
  x509.cryptoProvider.set(webcrypto);
  const keys = await webcrypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    // Positive and of full length.
    serialNumber: Buffer.concat([Buffer.from([0x10]), randomBytes(15)]).toString('hex'),
    name: 'CN=appliance (self-signed)',
    notBefore: new Date(now - 3_600_000),
    notAfter: new Date(now - 3_600_000 + lifetime),
    signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }) as const),
      ),
    ],
  });
  const exported = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  const lines = exported.match(/.{1,64}/g)?.join('\n') ?? '';
  return {
    key: `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`,
    chain: `${certificate.toString('pem')}\n`,
  };
}
