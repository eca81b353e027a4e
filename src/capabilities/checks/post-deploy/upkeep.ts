import { durationText } from '../../../lib/units.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';

const day = 86_400_000;
/** S1-60: a night that was due, and two hours for it. */
const oldestBackup = 26 * 3_600_000;

/** A certificate in force; times are milliseconds since 1970. */
interface SeenCertificate {
  readonly domain: string;
  readonly notBefore: number;
  readonly notAfter: number;
}

export interface UpkeepHands {
  readonly now: () => number;
  readonly certificates: () => Promise<readonly SeenCertificate[]>;
  /** Why the last renewal of a certificate failed, by its name. */
  readonly renewalErrors: () => ReadonlyMap<string, string>;
  /** Null before the first; times are milliseconds since 1970. */
  readonly backups: () => {
    /** End of the last one that was read back. */
    readonly sound: number | null;
    readonly newestFailed: string | null;
    /** Last proven restore. */
    readonly proven: number | null;
    readonly enabled: boolean;
  };
  /** When the release went live, in milliseconds since 1970. */
  readonly since: number;
}

/** Renewal works: every certificate has time left, and no renewal has failed since (S1-60). */
export function certificatesCheck({ certificates, renewalErrors, now }: UpkeepHands): Check {
  return {
    id: 'post-deploy.certificates',
    group: 'post-deploy',
    requirement: ['S1-60', 'S1-87'],
    about: 'certificates and their renewal',
    expected: 'no renewal failed, 14 days are left (of short-lived ones a third of their life)',
    hint: 'see why: appliance certs status; then appliance certs renew',
    look: async () => {
      const failed = [...renewalErrors()].map(([name, why]) => `${name}: ${why}`);
      if (failed.length > 0) return fail(failed.join('; '));
      const all = await certificates();
      const [end] = all.toSorted((a, b) => a.notAfter - b.notAfter);
      if (!end) return inconclusive('there is no certificate yet');
      const left = end.notAfter - now();
      if (left <= 0) return fail(`${end.domain} ended ${durationText(-left)} ago`);
      const least = Math.min(14 * day, (end.notAfter - end.notBefore) / 3);
      return (left >= least ? pass : fail)(`${end.domain} for ${durationText(left)}`, { samples: all.length });
    },
  };
}

/** Backups are made and can be restored (S1-60, S1-86). */
export function backupsCheck({ backups, now, since }: UpkeepHands): Check {
  return {
    id: 'post-deploy.backups',
    group: 'post-deploy',
    requirement: ['S1-60', 'S1-86'],
    about: 'backups',
    expected: 'a good one within 26 hours, and one whose restore was proven',
    hint: 'make one and see why: appliance backup now; appliance schedule',
    look: async () => {
      const { sound, newestFailed, proven, enabled } = backups();
      if (newestFailed !== null) return fail(`the last backup failed: ${newestFailed}`);
      if (!enabled) return fail('appliance.yaml has turned the nightly backup off (backups.enabled)');
      if (sound === null) {
        const waited = now() - since;
        const words = `no backup was made yet; the release is live for ${durationText(waited)}`;
        return waited > oldestBackup ? fail(words) : inconclusive(words);
      }
      const age = now() - sound;
      if (age > oldestBackup) return fail(`the last good backup is ${durationText(age)} old`);
      const made = `the last good one is ${durationText(Math.max(0, age))} old`;
      return proven === null
        ? inconclusive(`${made}; no restore was proven yet`, { hint: 'prove one: appliance backup drill' })
        : pass(`${made}, a restore was proven ${durationText(Math.max(0, now() - proven))} ago`);
    },
  };
}
