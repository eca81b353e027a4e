import { randomBytes } from 'node:crypto';
import { isIP, isIPv6 } from 'node:net';
import type { NameService } from '../../host/dns.ts';
import { askAddress } from '../../host/http-address.ts';
import { ApplianceError, messageOf } from '../../lib/errors.ts';
import type { Responder } from './challenges.ts';

/** Milliseconds for one look at a name service or a web server. */
const patience = 10_000;
const prefix = '/.well-known/acme-challenge/';

export interface PreflightDeps {
  readonly names: NameService;
  readonly responder: Responder;
  /** Port on which authorities look: 80 (RFC 8555 §8.3). */
  readonly port: number;
}

/**
 * Looks before an attempt is spent: each name has an address, no CAA record forbids the authority (RFC 8659), and over
 * HTTP on port 80 each address answers with our token, as the authority will see it.
 * @param identities of the authority in CAA records, as its directory lists them; empty: unknown
 * @throws ApplianceError `certificate_refused` that says which name fails and why
 */
export async function preflight(
  names: readonly string[],
  challenge: 'http-01' | 'dns-01',
  identities: readonly string[],
  deps: PreflightDeps,
  signal: AbortSignal,
): Promise<void> {
  for (const name of names) await assertAllowed(name, identities, deps.names);
  if (challenge === 'dns-01') return;
  const token = `appliance-${randomBytes(12).toString('hex')}`;
  const answer = { name: '', type: 'http-01', token, value: randomBytes(24).toString('hex') } as const;
  await deps.responder.present(answer, signal);
  try {
    for (const name of names) await assertReachable(name, answer, deps, signal);
  } finally {
    await deps.responder.remove(answer, signal);
  }
}

async function assertReachable(
  name: string,
  { token, value }: { readonly token: string; readonly value: string },
  { names, port }: PreflightDeps,
  signal: AbortSignal,
): Promise<void> {
  const addresses = isIP(name) === 0 ? await asked(name, 'A and AAAA', () => names.addresses(name)) : [name];
  if (addresses.length === 0)
    throw refused(
      `${name} has no address: the name service knows neither A nor AAAA`,
      `add a record for ${name} that leads to this host`,
    );
  let seen = 0;
  for (const address of addresses) {
    const where = `${name} (${address}) on port ${port}`;
    let body: string;
    try {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(patience)]);
      const { status, text } = await askAddress({
        address,
        port,
        host: name,
        path: `${prefix}${token}`,
        signal: limit,
        maxBytes: 4_096,
      });
      body = status === 200 ? text.trim() : `status ${status}`;
    } catch (error) {
      signal.throwIfAborted();
      // A host without IPv6 cannot tell whether the authority, which has it, gets through.
      if (isIPv6(address) && /ENETUNREACH|EADDRNOTAVAIL|EAFNOSUPPORT/.test(messageOf(error))) continue;
      throw refused(
        `${where} does not answer: ${messageOf(error)}`,
        'open port 80 to this host (edge.http), also for IPv6 where there is an AAAA record; where a host cannot reach its own public address: certificates.acme.preflight: false',
      );
    }
    if (body !== value)
      throw refused(
        `${where} answers, but not from this edge: it gave ${JSON.stringify(body.slice(0, 60))}`,
        'the name leads to another host, or something in front does not pass /.well-known/acme-challenge/ on',
      );
    seen += 1;
  }
  if (seen === 0)
    throw refused(
      `${name} has only IPv6 addresses, and this host has no IPv6`,
      'add an A record, or IPv6 to this host',
    );
}

/** The closest record up the tree counts; an `issue ";"` forbids everybody. */
async function assertAllowed(name: string, identities: readonly string[], names: NameService): Promise<void> {
  if (identities.length === 0 || isIP(name) !== 0) return;
  const wildcard = name.startsWith('*.');
  const labels = name.replace(/^\*\./, '').split('.');
  for (let from = 0; from < labels.length; from += 1) {
    const at = labels.slice(from).join('.');
    const records = await asked(at, 'CAA', () => names.caa(at));
    if (records.length === 0) continue;
    const wild = wildcard ? records.filter(({ tag }) => tag === 'issuewild') : [];
    const relevant = wild.length > 0 ? wild : records.filter(({ tag }) => tag === 'issue');
    const allowed = relevant.map(({ value }) => value.split(';')[0]?.trim().toLowerCase() ?? '');
    if (relevant.length === 0 || identities.some((identity) => allowed.includes(identity.toLowerCase()))) return;
    throw refused(
      `the CAA record of ${at} allows ${allowed.filter((one) => one !== '').join(', ') || 'nobody'} to issue for ${name}, not ${identities.join(' or ')}`,
      `add a CAA record: ${at}. CAA 0 ${wildcard ? 'issuewild' : 'issue'} "${identities[0]}"`,
    );
  }
}

async function asked<T>(name: string, what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw refused(
      `the name service does not answer for ${what} of ${name}: ${messageOf(error)}`,
      'look at the name servers of the domain and of this host',
    );
  }
}

function refused(what: string, hint: string): ApplianceError {
  return new ApplianceError('certificate_refused', what, { left: 'no attempt was spent', hint });
}
