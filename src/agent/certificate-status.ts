import type { Certificate } from '../api/certificates.ts';
import { cutShort } from '../capabilities/certificates/attempts.ts';
import type { Stored } from '../capabilities/certificates/store.ts';
import { timestamp } from '../lib/clock.ts';
import type { Finding } from '../lib/verdict.ts';
import { dueReason, nextAttempt } from './certificate-due.ts';
import type { Certificates } from './certificates.ts';

const day = 86_400_000;

/** What is in force, what is served, and what is to come. */
export function certificateStatus(
  certificates: Certificates,
  now: number,
  signal: AbortSignal,
): Promise<Certificate[]> {
  return Promise.all(
    certificates.sets.map(async (set) => {
      const names = certificates.namesOf(set);
      const stored = await certificates.current(set);
      const { lastAttempt, lastError } = certificates.log.state(set.name);
      const served = await certificates.served(names[0] ?? 'localhost', signal);
      const renewAfter = stored && set.issuer === 'acme' ? certificates.renewAfter(set, stored) : null;
      return {
        set: set.name,
        domains: names,
        kind: stored?.kind ?? null,
        issuer: stored?.issuer ?? null,
        serial: stored?.serial ?? null,
        notBefore: textOf(stored?.notBefore),
        notAfter: textOf(stored?.notAfter),
        daysLeft: stored ? daysLeft(stored, now) : null,
        servedSerial: served ?? null,
        renewAfter: textOf(renewAfter),
        due: await dueReason(certificates, set, now),
        lastAttempt: textOf(lastAttempt),
        // So it stands on disk while an attempt runs, for whoever comes after a crash.
        lastError: certificates.busy() && lastError === cutShort ? null : lastError,
        nextAttempt: textOf(await nextAttempt(certificates, set)),
      };
    }),
  );
}

/** What the status says of certificates; nothing while all is well. */
export async function certificateFindings(certificates: Certificates, now: number): Promise<Finding[]> {
  return (await certificates.inForce()).flatMap((one) => {
    const id = `certificate-${one.set}`;
    const when = timestamp(one.notAfter);
    const hint = 'appliance certs status';
    if (one.notAfter <= now)
      return [{ id, verdict: 'fail', observed: `the certificate ${one.set} has ended at ${when}`, hint }];
    if (daysLeft(one, now) < 3 && one.notAfter - one.notBefore > 20 * day)
      return [{ id, verdict: 'fail', observed: `the certificate ${one.set} ends at ${when}`, hint }];
    return [];
  });
}

function daysLeft({ notAfter }: Stored, now: number): number {
  return Math.floor((notAfter - now) / day);
}

function textOf(time: number | null | undefined): string | null {
  return time === null || time === undefined ? null : timestamp(time);
}
