import type { CertificatePlans } from './certificate-plans.ts';
import type { Certificates } from './certificates.ts';
import type { Job } from './schedule.ts';

/** Four times a day, each spread over five hours: two looks are at most eleven hours apart. */
const schedule = { at: [0, 6 * 60, 12 * 60, 18 * 60], jitter: 5 * 3_600_000 } as const;

/**
 * One job for each certificate, so that one that fails keeps no other from being renewed (S1-29). The clock has nothing to
 * run for one that signs itself: nobody is asked, and names that are new cannot wait for it anyway.
 */
export function certificateJobs(
  certificates: Pick<Certificates, 'sets'>,
  plans: Pick<CertificatePlans, 'check'>,
  zone: string,
): Job[] {
  const { sets } = certificates;
  return sets.map(({ name, issuer }) => ({
    name: sets.length === 1 ? 'certificates' : `certificates-${name}`,
    title: 'ask the authority, prove what is served, renew what is due',
    schedule,
    zone,
    kind: 'certs-check',
    enabled: issuer !== 'self-signed',
    prepare: () => plans.check(name),
  }));
}
