import { connect, type SecureVersion } from 'node:tls';
import { messageOf } from '../lib/errors.ts';

/** What a server agreed to. */
export interface TlsProbe {
  /** `TLSv1.3`; null when there was no handshake. */
  readonly protocol: string | null;
  readonly alpn: string;
  readonly cipher: string;
  /** Why there was none. */
  readonly why: string;
}

/** Shakes hands with one version of TLS alone; whose certificate it is does not matter here. */
export function probeTls(
  to: { readonly host: string; readonly port: number; readonly servername: string },
  version: SecureVersion,
  signal: AbortSignal,
): Promise<TlsProbe> {
  return new Promise((resolve) => {
    const socket = connect({
      host: to.host,
      port: to.port,
      ...(/^[\d.]+$|:/.test(to.servername) ? {} : { servername: to.servername }),
      minVersion: version,
      maxVersion: version,
      ALPNProtocols: ['h2', 'http/1.1'],
      rejectUnauthorized: false,
      timeout: 5_000,
      // Without it our own side would refuse what is to be found out about the other one.
      ...(version === 'TLSv1.3' ? {} : { ciphers: 'DEFAULT@SECLEVEL=0' }),
    });
    const end = (probe: TlsProbe): void => {
      signal.removeEventListener('abort', abort);
      socket.destroy();
      resolve(probe);
    };
    const none = (why: string): TlsProbe => ({ protocol: null, alpn: '', cipher: '', why });
    const abort = (): void => end(none('interrupted'));
    signal.addEventListener('abort', abort, { once: true });
    socket.once('error', (error) => end(none(messageOf(error))));
    socket.once('timeout', () => end(none('no answer within 5 s')));
    socket.once('secureConnect', () =>
      end({
        protocol: socket.getProtocol(),
        alpn: socket.alpnProtocol || '',
        cipher: socket.getCipher().name,
        why: '',
      }),
    );
  });
}
