import { createPrivateKey, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { ApplianceError, messageOf } from '../lib/errors.ts';

export const tlsVersions = ['TLSv1.2', 'TLSv1.3'] as const;
export type TlsVersion = (typeof tlsVersions)[number];
export const applicationProtocols = ['h2', 'http/1.1'] as const;
export type ApplicationProtocol = (typeof applicationProtocols)[number];

export interface HandshakeWish {
  readonly host: string;
  readonly port: number;
  /** Name that the client asks for; an address is never sent (RFC 6066 §3). */
  readonly name: string;
  readonly version: TlsVersion;
  readonly protocol: ApplicationProtocol;
  /** Milliseconds. */
  readonly timeout: number;
}

/** What a server has shown. */
export interface HandshakeResult {
  /** Of its own certificate, the first of the chain. */
  readonly certificate: X509Certificate;
  /** Certificates that came with it, itself among them. */
  readonly chain: readonly X509Certificate[];
  readonly version: string;
  readonly protocol: string;
}

/**
 * A full TLS handshake on a connection of its own. Nothing is believed and nothing is asked: who the server is, is what the
 * caller looks at.
 * @throws Error of the system or of OpenSSL when there is no handshake; the signal's reason when it was aborted
 */
export function handshake(wish: HandshakeWish, signal: AbortSignal): Promise<HandshakeResult> {
  const { host, port, name, version, protocol, timeout } = wish;
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket = connect({
      host,
      port,
      ...(isIP(name) === 0 ? { servername: name } : {}),
      minVersion: version,
      maxVersion: version,
      ALPNProtocols: [protocol],
      rejectUnauthorized: false,
    });
    const end = (settle: () => void): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      socket.destroy();
      settle();
    };
    const abort = (): void => end(() => reject(signal.reason));
    const timer = setTimeout(() => end(() => reject(new Error(`no handshake within ${timeout / 1_000} s`))), timeout);
    signal.addEventListener('abort', abort, { once: true });
    socket.on('error', (error) => end(() => reject(error)));
    socket.once('close', () => end(() => reject(new Error('the connection ended before the handshake'))));
    socket.once('secureConnect', () => {
      const certificate = socket.getPeerX509Certificate();
      const seen = { version: socket.getProtocol() ?? 'unknown', protocol: socket.alpnProtocol || 'none' };
      end(() => {
        if (certificate) resolve({ certificate, chain: chainOf(certificate), ...seen });
        else reject(new Error('it showed no certificate'));
      });
    });
  });
}

/** A certificate and those that signed it, as far as they came along. */
function chainOf(first: X509Certificate): X509Certificate[] {
  const chain = [first];
  for (let next = first.issuerCertificate; next; next = next.issuerCertificate) {
    if (chain.some(({ fingerprint256 }) => fingerprint256 === next?.fingerprint256)) break;
    chain.push(next);
  }
  return chain;
}

/**
 * The certificate of a server, proven to belong to its key.
 * @param chain text in PEM, the server's own certificate first
 * @throws ApplianceError `certificate_invalid`, without a word of the key
 */
export function readPair(chain: string, key: string): X509Certificate {
  try {
    const certificate = new X509Certificate(chain);
    if (certificate.checkPrivateKey(createPrivateKey(key))) return certificate;
  } catch (error) {
    const why = messageOf(error).replace(/-----[\s\S]*/, '');
    throw new ApplianceError('certificate_invalid', `a key or its certificate cannot be read: ${why}`);
  }
  throw new ApplianceError('certificate_invalid', 'the private key does not belong to the certificate');
}
