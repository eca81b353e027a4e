import { z } from 'zod';
import { drawPoint, isSensible } from '../capabilities/certificates/renewal.ts';
import type { Stored } from '../capabilities/certificates/store.ts';
import type { CertificateSet } from '../config/certificates.ts';
import { defineStep } from '../operations/step.ts';
import type { Alerting } from './alerting.ts';
import type { Certificates } from './certificates.ts';

export interface CertificateCheckDeps {
  readonly certificates: Certificates;
  readonly alerting: Pick<Alerting, 'raise' | 'resolve'>;
  /** From 0 up to but not including 1. */
  readonly random: () => number;
}

const unservedAlert = 'CertificateNotServed';

/** Asks the authority when it would like a renewal, and proves that what is in force is served (S1-29, S1-49). */
export function checkCertificate(deps: CertificateCheckDeps) {
  return defineStep({
    action: 'check-certificate',
    args: z.object({ set: z.string() }),
    async apply({ set: name }, { signal }) {
      const set = deps.certificates.set(name);
      const stored = await deps.certificates.current(set);
      if (!stored) return 'there is none yet';
      return [await askAuthority(set, stored, deps, signal), await proveServed(set, stored, deps, signal)].join('; ');
    },
  });
}

/** Keeps the window that the authority suggests (RFC 9773), and draws a point in it once. */
async function askAuthority(
  set: CertificateSet,
  stored: Stored,
  { certificates, random }: CertificateCheckDeps,
  signal: AbortSignal,
): Promise<string> {
  if (set.issuer !== 'acme' || stored.kind !== 'acme') return 'no authority to ask';
  const { log } = certificates;
  try {
    const found = await certificates.issuer.suggestion(stored, signal);
    const known = log.window(set.name, stored.serial);
    if (!found || !isSensible(found, stored)) return 'the authority suggests no time';
    if (known?.start !== found.start || known.end !== found.end)
      log.keepWindow(set.name, stored.serial, { ...found, point: drawPoint(found, random()) });
    return `the authority suggests ${new Date(found.start).toISOString()} to ${new Date(found.end).toISOString()}`;
  } catch {
    signal.throwIfAborted();
    return 'the authority did not answer: its last word, or our own time, stands';
  }
}

/** Whether every name is served what is in force; somebody is told where it is not. */
async function proveServed(
  set: CertificateSet,
  stored: Stored,
  { certificates, alerting }: CertificateCheckDeps,
  signal: AbortSignal,
): Promise<string> {
  // Before the first release the edge serves a stand-in of its own, which is worth as much.
  if (stored.kind === 'self-signed') return 'it signs itself';
  const wrong: string[] = [];
  let answered = 0;
  for (const name of certificates.namesOf(set)) {
    const serial = await certificates.served(name, signal);
    // An edge that does not answer has an alert of its own.
    if (serial !== undefined) answered += 1;
    if (serial !== undefined && serial !== stored.serial) wrong.push(`${name} with ${serial}`);
  }
  if (answered === 0) return 'the edge does not answer';
  if (wrong.length === 0) {
    alerting.resolve(unservedAlert, { certificate: set.name });
    return `${stored.serial} is served`;
  }
  const what = `the edge serves ${wrong.join(', ')}, and ${stored.serial} is in force`;
  alerting.raise({
    name: unservedAlert,
    severity: 'critical',
    summary: what,
    hint: 'appliance restart edge; then: appliance certs status',
    labels: { certificate: set.name },
  });
  return what;
}
