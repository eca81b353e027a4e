import { randomBytes, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto);
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;

export interface Signed {
  readonly key: string;
  readonly certificate: string;
  readonly keys: CryptoKeyPair;
  readonly name: string;
}
type CryptoKeyPair = Awaited<ReturnType<typeof newKeys>>;
const newKeys = () => webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);

/** A certificate signed by another one, or by itself. Times are milliseconds since 1970. */
export async function sign(about: {
  readonly name: string;
  readonly by?: Signed;
  readonly domains?: readonly string[];
  readonly from: number;
  readonly until: number;
}): Promise<Signed> {
  const { name, by, domains, from, until } = about;
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: Buffer.concat([Buffer.from([0x10]), randomBytes(9)]).toString('hex'),
    subject: `CN=${name}`,
    issuer: `CN=${by?.name ?? name}`,
    notBefore: new Date(from),
    notAfter: new Date(until),
    publicKey: keys.publicKey,
    signingKey: (by?.keys ?? keys).privateKey,
    signingAlgorithm: algorithm,
    extensions: domains
      ? [
          new x509.SubjectAlternativeNameExtension(domains.map((value) => ({ type: 'dns', value }))),
          // Where the certificate of its signer lies, as public authorities write it.
          new x509.AuthorityInfoAccessExtension({ caIssuers: ['http://ca.example/issuer.crt'] }),
          await x509.AuthorityKeyIdentifierExtension.create((by?.keys ?? keys).publicKey),
        ]
      : [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  const exported = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return {
    key: `-----BEGIN PRIVATE KEY-----\n${exported.match(/.{1,64}/g)?.join('\n')}\n-----END PRIVATE KEY-----\n`,
    certificate: `${certificate.toString('pem')}\n`,
    keys,
    name,
  };
}
