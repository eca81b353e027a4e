import { cutShort } from '../capabilities/certificates/attempts.ts';
import type { Stored } from '../capabilities/certificates/store.ts';
import { covers } from '../config/certificate-names.ts';
import type { CertificateSet } from '../config/certificates.ts';
import { timestamp } from '../lib/clock.ts';
import type { Certificates } from './certificates.ts';

/** Below this lifetime, in milliseconds, the looks of the schedule come too rarely. */
const shortLived = 4 * 86_400_000;

/** Why a set is to be renewed now (S1-29); null when it is not. @param now milliseconds since 1970 */
export async function dueReason(certificates: Certificates, set: CertificateSet, now: number): Promise<string | null> {
  const stored = await certificates.current(set);
  const missing = stored ? uncovered(certificates, set, stored) : [];
  const gap = missing.length > 0 ? `it does not cover ${missing.join(', ')}` : null;
  if (set.issuer !== 'acme') return set.issuer === 'self-signed' ? gap : null;
  if (stored?.kind === 'self-signed' || !stored) return 'there is none by an authority yet';
  if (gap !== null) return gap;
  const at = certificates.renewAfter(set, stored);
  return at <= now ? `its time came at ${timestamp(at)}` : null;
}

/** Why an attempt is to be made now that nobody has asked for; null where there is no reason, or it is too early. */
export async function reasonToTry(
  certificates: Certificates,
  set: CertificateSet,
  now: number,
  signal: AbortSignal,
): Promise<string | null> {
  const due = await dueReason(certificates, set, now);
  if (due === null || ((await nextAttempt(certificates, set)) ?? 0) > now) return null;
  // Before the edge serves anything, an authority could not reach it either.
  const answers = (await certificates.served(certificates.namesOf(set)[0] ?? 'localhost', signal)) !== undefined;
  return answers ? due : null;
}

/**
 * Before this no attempt is made that nobody asks for; null: at any time. One that was cut short goes on at once where that
 * spends nothing: an order is placed, or its certificate lies on the disk. One that was cut short before that is repeated
 * once, and then waits as after a failure, so that a restart loop spends nothing.
 * @returns milliseconds since 1970
 */
export async function nextAttempt(certificates: Certificates, set: CertificateSet): Promise<number | null> {
  const { lastError, failures, nextAttempt: later } = certificates.log.state(set.name);
  if (lastError !== cutShort || failures <= 1) return lastError === cutShort ? null : later;
  const begun = (await certificates.issuer.isUnderWay(set)) || (await certificates.waiting(set)) !== undefined;
  return begun ? null : later;
}

/**
 * Whether a set cannot wait for the schedule, which looks a few times a day: there is nothing good yet, an attempt has
 * failed, or the certificate lives a few days only.
 */
export async function isPressing(certificates: Certificates, set: CertificateSet): Promise<boolean> {
  const stored = await certificates.current(set);
  if (!stored || stored.kind !== set.issuer || uncovered(certificates, set, stored).length > 0) return true;
  const { lastError } = certificates.log.state(set.name);
  return lastError !== null || stored.notAfter - stored.notBefore < shortLived;
}

function uncovered(certificates: Certificates, set: CertificateSet, { domains }: Pick<Stored, 'domains'>): string[] {
  return certificates.namesOf(set).filter((name) => !covers(domains, name));
}
