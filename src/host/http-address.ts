import { request } from 'node:http';

export interface AddressQuestion {
  readonly address: string;
  readonly port: number;
  /** What the request says it is for. */
  readonly host: string;
  readonly path: string;
  readonly signal: AbortSignal;
  /** Most that is read, in bytes. */
  readonly maxBytes: number;
}

/**
 * One plain request to a given address, whatever the name service says. Redirects are not followed.
 * @throws Error of the system or of the signal
 */
export function askAddress(question: AddressQuestion): Promise<{ readonly status: number; readonly text: string }> {
  const { address, port, host, path, signal, maxBytes } = question;
  return new Promise((resolve, reject) => {
    const outgoing = request({ host: address, port, path, headers: { host }, agent: false, signal }, (incoming) => {
      let text = '';
      incoming.setEncoding('utf8');
      incoming.on('data', (chunk: string) => {
        text = (text + chunk).slice(0, maxBytes);
        if (text.length === maxBytes) incoming.destroy();
      });
      incoming.on('error', reject);
      incoming.on('close', () => resolve({ status: incoming.statusCode ?? 0, text }));
    });
    outgoing.on('error', reject);
    outgoing.end();
  });
}
