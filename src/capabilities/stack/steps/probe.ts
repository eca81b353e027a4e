import { request } from 'node:http';
import { connect } from 'node:net';
import type { ProbeConfig } from '../../../config/schema.ts';
import { messageOf } from '../../../lib/errors.ts';

/** Header by which a service says which release it is. */
const releaseHeader = 'X-Appliance-Release';

export interface ProbeTarget {
  readonly address: string;
  readonly probe: ProbeConfig;
  /** Tag that the release header must carry. */
  readonly tag: string;
}

export interface ProbeAnswer {
  readonly ok: boolean;
  /** What came back, for people. */
  readonly said: string;
}

/**
 * Asks a service once, directly at its address.
 * @param timeout milliseconds
 * @returns never rejects: no answer is an answer
 */
export async function askProbe(target: ProbeTarget, timeout: number, signal: AbortSignal): Promise<ProbeAnswer> {
  const { address, probe } = target;
  const where = `${probe.type === 'http' ? 'http' : 'tcp'}://${address}:${probe.port}`;
  const limit = AbortSignal.any([signal, AbortSignal.timeout(timeout)]);
  try {
    return probe.type === 'tcp'
      ? await connects(address, probe.port, limit, where)
      : await answers(target, limit, `${where}${probe.path}`);
  } catch (error) {
    const late = error instanceof Error && (error.name === 'TimeoutError' || error.name === 'AbortError');
    return { ok: false, said: `${where}: ${late ? `no answer in ${timeout / 1_000} s` : messageOf(error)}` };
  }
}

function connects(host: string, port: number, signal: AbortSignal, where: string): Promise<ProbeAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, signal });
    socket.once('connect', () => {
      socket.destroy();
      resolve({ ok: true, said: `${where}: connected` });
    });
    socket.once('error', reject);
  });
}

function answers({ address, probe, tag }: ProbeTarget, signal: AbortSignal, where: string): Promise<ProbeAnswer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      { host: address, port: probe.port, path: probe.path, headers: { host: 'localhost' }, agent: false, signal },
      (answer) => {
        answer.resume();
        answer.once('error', reject);
        const status = answer.statusCode ?? 0;
        const seen = answer.headers[releaseHeader.toLowerCase()];
        asked.destroy();
        if (status !== probe.status) {
          resolve({ ok: false, said: `${where}: status ${status} instead of ${probe.status}` });
        } else if (probe.releaseHeader && seen !== tag) {
          const said = seen === undefined ? `no ${releaseHeader} header` : `${releaseHeader} is ${String(seen)}`;
          resolve({ ok: false, said: `${where}: status ${status}, but ${said} instead of ${tag}` });
        } else {
          resolve({ ok: true, said: `${where}: status ${status}` });
        }
      },
    );
    asked.once('error', reject);
    asked.end();
  });
}
