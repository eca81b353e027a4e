import { createPrivateKey, randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { certificateDirectory, serialText } from '../../src/lib/certificates.ts';
import type { Paths } from '../../src/lib/paths.ts';

x509.cryptoProvider.set(webcrypto);

const day = 86_400_000;
const algorithms = {
  ec: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  rsa: {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: 2048,
    publicExponent: new Uint8Array([1, 0, 1]),
  },
} as const;

export interface Pair {
  readonly key: string;
  readonly chain: string;
  /** As `serialText` writes it. */
  readonly serial: string;
}

/** An authority of a test. */
export interface Authority {
  readonly pem: string;
  issue(names: readonly string[], type?: keyof typeof algorithms): Promise<Pair>;
}

export async function newAuthority(): Promise<Authority> {
  const signing = algorithms.ec;
  const keys = await webcrypto.subtle.generateKey(signing, true, ['sign', 'verify']);
  const now = Date.now();
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: 'CN=Authority of a test',
    notBefore: new Date(now - day),
    notAfter: new Date(now + 3_650 * day),
    signingAlgorithm: signing,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const issue: Authority['issue'] = async (names, type = 'ec') => {
    const mine = await webcrypto.subtle.generateKey(algorithms[type], true, ['sign', 'verify']);
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject: `CN=${names[0]}`,
      issuer: root.subject,
      notBefore: new Date(now - day),
      notAfter: new Date(now + 90 * day),
      signingAlgorithm: signing,
      signingKey: keys.privateKey,
      publicKey: mine.publicKey,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension(
          names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value }) as const),
        ),
        await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey),
        new x509.CRLDistributionPointsExtension(['http://crl.example.org/1.crl']),
      ],
    });
    const exported = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', mine.privateKey));
    const key = createPrivateKey({ key: exported, format: 'der', type: 'pkcs8' });
    const chain = `${certificate.toString('pem')}\n`;
    const serial = serialText(new X509Certificate(chain).serialNumber);
    return { key: key.export({ type: 'pkcs8', format: 'pem' }).toString(), chain, serial };
  };
  return { pem: `${root.toString('pem')}\n`, issue };
}

/** Lays a pair where the edge looks for versions of a certificate. */
export async function layPair(paths: Pick<Paths, 'edge'>, set: string, version: string, pair: Pair): Promise<void> {
  const directory = join(certificateDirectory(paths, set), version);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'key.pem'), pair.key, { mode: 0o600 });
  await writeFile(join(directory, 'chain.pem'), pair.chain);
}

function serialNumber(): string {
  return Buffer.concat([Buffer.from([0x10]), randomBytes(15)]).toString('hex');
}
