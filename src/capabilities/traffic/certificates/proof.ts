import { isIP } from 'node:net';
import type { Config } from '../../../config/schema.ts';
import {
  type ApplicationProtocol,
  applicationProtocols,
  handshake,
  type TlsVersion,
  tlsVersions,
} from '../../../host/handshake.ts';
import { serialText } from '../../../lib/certificates.ts';
import type { Clock } from '../../../lib/clock.ts';
import { messageOf, systemCode } from '../../../lib/errors.ts';

/** Handshakes at the same time, and milliseconds for each. */
const atOnce = 8;
const patience = 5_000;
/** Rounds in a row that prove it, and the pause between them: longer than nginx lets old and new workers accept together. */
const steadyRounds = 2;
const pause = 250;

interface Ask {
  readonly domain: string;
  readonly host: string;
  readonly port: number;
  readonly version: TlsVersion;
  readonly protocol: ApplicationProtocol;
  /** Nobody listens there: no objection, where another address answers. */
  readonly optional: boolean;
}

export interface ProofRequest {
  readonly config: Config;
  readonly clock: Clock;
  readonly domains: readonly string[];
  /** As `serialText` writes it. */
  readonly serial: string;
  /** Milliseconds to try. */
  readonly within: number;
}

/**
 * Looks whether the edge serves a certificate: a real handshake through the published port for each domain, version of TLS,
 * protocol above it and address family, until all of them have shown it twice.
 * @returns undefined when proven, else what was seen in its place
 */
export async function awaitServed(request: ProofRequest, signal: AbortSignal): Promise<string | undefined> {
  const { clock, within } = request;
  const deadline = clock.monotonic() + within;
  for (let inRow = 0; inRow < steadyRounds; ) {
    const objections = await round(request, signal);
    inRow = objections.length === 0 ? inRow + 1 : 0;
    if (inRow === steadyRounds) break;
    if (clock.monotonic() > deadline) {
      if (objections.length === 0) return undefined;
      const more = objections.length > 3 ? `, and ${objections.length - 3} more` : '';
      return `${objections.slice(0, 3).join('; ')}${more}`;
    }
    await clock.sleep(pause, signal);
  }
  return undefined;
}

/** Serial number of what a domain is served now; undefined when there is no handshake. */
export async function servedSerial(config: Config, domain: string, signal: AbortSignal): Promise<string | undefined> {
  for (const ask of asksOf(config, [domain]).reverse()) {
    const seen = await look(ask, signal);
    if ('serial' in seen) return seen.serial;
  }
  return undefined;
}

async function round({ config, domains, serial }: ProofRequest, signal: AbortSignal): Promise<string[]> {
  const waiting = asksOf(config, domains);
  const objections: string[] = [];
  const worker = async (): Promise<void> => {
    for (let ask = waiting.shift(); ask; ask = waiting.shift()) {
      const seen = await look(ask, signal);
      const objection = objectionTo(ask, seen, serial);
      if (objection !== undefined) objections.push(objection);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return objections;
}

type Seen =
  | { readonly serial: string; readonly protocol: string }
  | { readonly error: string; readonly absent: boolean };

async function look({ domain, ...where }: Ask, signal: AbortSignal): Promise<Seen> {
  try {
    const { certificate, protocol } = await handshake(
      { ...where, name: serverName(domain), timeout: patience },
      signal,
    );
    return { serial: serialText(certificate.serialNumber), protocol };
  } catch (error) {
    signal.throwIfAborted();
    const absent = ['ECONNREFUSED', 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'ENETUNREACH'].includes(systemCode(error) ?? '');
    return { error: messageOf(error), absent };
  }
}

function objectionTo(ask: Ask, seen: Seen, serial: string): string | undefined {
  const host = ask.host.includes(':') ? `[${ask.host}]` : ask.host;
  const how = `${ask.domain} by ${ask.version.replace('v', ' ')} and ${ask.protocol} on ${host}:${ask.port}`;
  if ('error' in seen) return seen.absent && ask.optional ? undefined : `${how}: ${seen.error}`;
  if (seen.serial !== serial) return `${how} shows the serial number ${seen.serial}, not ${serial}`;
  return seen.protocol === ask.protocol ? undefined : `${how} was answered with ${seen.protocol}`;
}

function asksOf(config: Config, domains: readonly string[]): Ask[] {
  const versions = tlsVersions.filter((version) => config.edge.tls.minVersion !== '1.3' || version === 'TLSv1.3');
  return endpoints(config.edge.https).flatMap((endpoint) =>
    domains.flatMap((domain) =>
      versions.flatMap((version) =>
        applicationProtocols.map((protocol) => ({ domain, ...endpoint, version, protocol })),
      ),
    ),
  );
}

/** Where a client on this host reaches what is published: both families where it says no address. */
function endpoints(listen: string): { host: string; port: number; optional: boolean }[] {
  const at = listen.lastIndexOf(':');
  const host = at < 0 ? '' : listen.slice(0, at).replace(/^\[|\]$/g, '');
  const port = Number(listen.slice(at + 1));
  if (host === '')
    return [
      { host: '127.0.0.1', port, optional: false },
      { host: '::1', port, optional: true },
    ];
  if (host === '::') return [{ host: '::1', port, optional: false }];
  return [{ host: host === '0.0.0.0' ? '127.0.0.1' : host, port, optional: false }];
}

/** A name that a domain is for: of `*.example.org` any label will do. */
function serverName(domain: string): string {
  return isIP(domain) === 0 ? domain.replace(/^\*\./, 'x.') : domain;
}
