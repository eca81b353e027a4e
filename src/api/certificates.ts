import { z } from 'zod';
import { certificateKinds } from '../lib/certificates.ts';

// The JSON shapes of `appliance certs`. Times are RFC 3339 in UTC.

const time = z.string();

/** CONTRACT "certs status"; everything about what is in force is null before the first certificate. */
export const certificateSchema = z.object({
  /** What appliance.yaml calls it. */
  set: z.string(),
  domains: z.array(z.string()),
  kind: z.enum(certificateKinds).nullable(),
  issuer: z.string().nullable(),
  serial: z.string().nullable(),
  notBefore: time.nullable(),
  notAfter: time.nullable(),
  daysLeft: z.number().nullable(),
  /** What a handshake shows; null when there is none. */
  servedSerial: z.string().nullable(),
  /** Null for one that nobody here renews. */
  renewAfter: time.nullable(),
  /** Whether it is to be renewed now, and why. */
  due: z.string().nullable(),
  lastAttempt: time.nullable(),
  lastError: z.string().nullable(),
  /** Before this, no attempt is made that nobody asks for. */
  nextAttempt: time.nullable(),
});
export type Certificate = z.output<typeof certificateSchema>;

/** A certificate by its name in appliance.yaml; may be left out where there is one. */
const set = z.string().max(60).optional();
/** Milliseconds to wait for the lock. */
const wait = z.number().min(0).default(0);
const absolute = z.string().startsWith('/').max(4_096);

export const certificateInputs = {
  issue: z.object({ set, wait }),
  renew: z.object({ set, wait }),
  import: z.object({ set, chain: absolute, key: absolute, wait }),
  dryRun: z.object({ set, wait }),
};
