import { formatDuration } from '../../../lib/units.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';
import type { CertificateEnd } from '../upkeep/certificates.ts';

/** TLS is ready: the certificate that the edge serves, or will serve, is valid (S1-7, S0-4). @param now milliseconds since 1970 */
export function certificateCheck(certificate: () => Promise<CertificateEnd | undefined>, now: () => number): Check {
  return {
    id: 'preflight.certificate',
    group: 'preflight',
    requirement: ['S1-7', 'S0-4'],
    about: 'certificate',
    expected: 'valid for 14 days or more',
    hint: 'renew it before you deploy',
    look: async () => {
      const end = await certificate();
      if (!end) return inconclusive('there is none yet; the edge makes one of its own when it first starts');
      const left = end.notAfter - now();
      if (left <= 0) return fail(`${end.domain} ended ${formatDuration(-left)} ago`);
      return (left >= 14 * 86_400_000 ? pass : fail)(`${end.domain} for ${formatDuration(left)}`);
    },
  };
}

/** Monitoring is ready: somebody will notice when the release fails (S1-7). */
export function monitoringCheck(configured: boolean, receivers: number): Check {
  return {
    id: 'preflight.monitoring',
    group: 'preflight',
    requirement: ['S1-7'],
    about: 'monitoring',
    expected: 'metrics are kept and alerts have a receiver',
    hint: 'add the sections monitoring and alerts to appliance.yaml',
    look: async () => {
      if (!configured) return fail('appliance.yaml has no section monitoring');
      return receivers > 0
        ? pass(`metrics are kept, alerts go to ${receivers} receivers`)
        : fail('metrics are kept, but alerts go to nobody');
    },
  };
}
