import type { TlsProbe } from '../../../host/tls-probe.ts';
import { type Check, fail, pass } from '../check.ts';

/** TLS 1.3 and HTTP/2 are spoken, what is older than 1.2 is not (S4-4, S1-50). @param probe asks the edge with one version */
export function tlsCheck(probe: (version: 'TLSv1.1' | 'TLSv1.3', signal: AbortSignal) => Promise<TlsProbe>): Check {
  return {
    id: 'security.tls',
    group: 'security',
    requirement: ['S1-87', 'S4-4', 'S1-50'],
    about: 'TLS',
    expected: 'TLS 1.3 and HTTP/2; nothing older than TLS 1.2',
    hint: 'the edge decides that; look whether another program holds its port',
    look: async (signal) => {
      const [now, old] = await Promise.all([probe('TLSv1.3', signal), probe('TLSv1.1', signal)]);
      if (now.protocol === null) return fail(`no TLS 1.3: ${now.why}`);
      if (old.protocol !== null) return fail(`it also speaks ${old.protocol}`);
      if (now.alpn !== 'h2') return fail(`${now.protocol}, but no HTTP/2`);
      return pass(`${now.protocol}, HTTP/2, ${now.cipher}`);
    },
  };
}
