import { formatBytes, formatDuration } from '../../../lib/units.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';

/** When the certificate of a domain ends. */
export interface CertificateEnd {
  readonly domain: string;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
}

const day = 86_400_000;
/** Milliseconds that one of 90 days must have left; one that lives shorter in proportion, as its alerts (S1-60). */
const enough = 14 * day;
const usualLife = 90 * day;

/** TLS is ready: the certificates that the edge serves, or will serve, are valid (S1-7, S0-4). @param now milliseconds since 1970 */
export function certificateCheck(ends: () => Promise<readonly CertificateEnd[]>, now: () => number): Check {
  return {
    id: 'preflight.certificate',
    group: 'preflight',
    requirement: ['S1-7', 'S0-4'],
    about: 'certificate',
    expected: 'valid for 14 days or more; where one lives less than 90 days, for as large a part of it',
    hint: 'see which, and why: appliance certs; then appliance certs renew',
    look: async () => {
      // The one that is nearest to its own limit, which is not always the one that ends first.
      const [end] = (await ends())
        .map((one) => ({ ...one, left: one.notAfter - now(), least: leastOf(one) }))
        .toSorted((a, b) => a.left - a.least - (b.left - b.least));
      if (!end) return inconclusive('there is none yet; the edge makes one of its own when it first starts');
      if (end.left <= 0) return fail(`${end.domain} ended ${formatDuration(-end.left)} ago`);
      return (end.left >= end.least ? pass : fail)(`${end.domain} for ${formatDuration(end.left)}`);
    },
  };
}

function leastOf({ notBefore, notAfter }: CertificateEnd): number {
  return enough * Math.min(1, (notAfter - notBefore) / usualLife);
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

/** Where backups are kept. */
export interface BackupStorage {
  /** Whether a night is backed up at all. */
  readonly enabled: boolean;
  readonly directory: string;
  readonly writable: boolean;
  /** Bytes. */
  readonly free: number;
}

/** Least that must be free for the next backup, in bytes; the number is chosen. */
const leastRoom = 2 * 1024 ** 3;

/** Storage for backups is ready: what a deploy breaks can be put back (S1-7). */
export function backupStorageCheck(storage: () => Promise<BackupStorage>): Check {
  return {
    id: 'preflight.backup-storage',
    group: 'preflight',
    requirement: ['S1-7'],
    about: 'storage for backups',
    expected: `writable, with ${formatBytes(leastRoom)} free`,
    hint: 'set backups.repository in appliance.yaml to a directory with room; appliance backup prune forgets old ones',
    look: async () => {
      const { enabled, directory, writable, free } = await storage();
      if (!enabled) return fail('appliance.yaml turns backups off (backups.enabled)');
      if (!writable) return fail(`${directory} cannot be written`);
      return (free >= leastRoom ? pass : fail)(`${formatBytes(free)} free below ${directory}`);
    },
  };
}
