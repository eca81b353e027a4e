import type { Handlers } from '../api/handlers.ts';
import { timestamp } from '../lib/clock.ts';
import { ApplianceError } from '../lib/errors.ts';
import { Redactor } from '../lib/redact.ts';
import type { Appliance } from './appliance.ts';
import { secretsOf } from './doctor/known-secrets.ts';

/** So many attempts of one user stand in the audit within a minute: nobody can bury an entry under others. */
const limit = { entries: 20, within: 60_000 } as const;

/** Keeps what `ssh-gate` has refused. */
export function gateHandlers(a: Appliance): Pick<Handlers, 'gateRefused'> {
  const times = new Map<number, number[]>();
  return {
    gateRefused: async ({ command }, { actor }) => {
      // Whoever is not proven could be anybody.
      if (actor.uid < 0) throw new ApplianceError('not_permitted', 'the caller could not be proven (no nonce file)');
      const now = a.clock.monotonic();
      const recent = (times.get(actor.uid) ?? []).filter((time) => now - time < limit.within);
      if (recent.length >= limit.entries) return { noted: false };
      times.set(actor.uid, [...recent, now]);
      const { forms } = await secretsOf(a.paths, a.config);
      a.audit.append(timestamp(a.clock.now()), actor, 'ssh-gate', new Redactor(forms).text(command), 'refused');
      return { noted: true };
    },
  };
}
