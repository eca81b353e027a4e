import type { Channel } from '../../config/alerts.ts';
import type { DeliveryCount } from '../../host/alertmanager.ts';
import type { Finding } from '../../lib/verdict.ts';

/** What has been delivered between two looks at Alertmanager's counters. */
export interface Delivered {
  readonly accepted: number;
  readonly refused: number;
}

/**
 * What happened to the notifications of one receiver between two looks. Pure. Where Alertmanager counts by integration
 * alone, receivers of one kind cannot be told apart: then nothing else may be on its way.
 */
export function delivered(
  before: readonly DeliveryCount[],
  after: readonly DeliveryCount[],
  receiver: { readonly name: string; readonly type: Channel },
): Delivered {
  const count = (all: readonly DeliveryCount[]) => {
    const mine = all.filter(
      (one) => one.integration === receiver.type && (one.receiver === undefined || one.receiver === receiver.name),
    );
    const sum = (pick: (one: DeliveryCount) => number) => mine.reduce((total, one) => total + pick(one), 0);
    return { attempts: sum(({ attempts }) => attempts), failures: sum(({ failures }) => failures) };
  };
  const [old, now] = [count(before), count(after)];
  const refused = Math.max(0, now.failures - old.failures);
  return { accepted: Math.max(0, now.attempts - old.attempts - refused), refused };
}

/** What an accepted notification proves, by channel. */
const proofs: Readonly<Record<Channel, string>> = {
  webhook: 'its server answered 2xx',
  slack: 'Slack accepted it',
  pagerduty: 'PagerDuty accepted it',
  email: 'the SMTP server accepted it; a person must see whether it reached the inbox',
};

/** Judges a delivery: accepted is pass, refused fail, neither inconclusive. @param reason what Alertmanager logged */
export function judgeDelivery(
  receiver: { readonly name: string; readonly type: Channel },
  { accepted, refused }: Delivered,
  waited: string,
  reason: string | undefined,
): Finding {
  const id = `${receiver.name} (${receiver.type})`;
  if (accepted > 0)
    return { id, verdict: 'pass', observed: `${proofs[receiver.type]}, after ${waited}`, samples: accepted };
  if (refused > 0) {
    const why = reason ?? 'Alertmanager counted a refused notification';
    return { id, verdict: 'fail', observed: why, hint: 'appliance logs alertmanager', samples: refused };
  }
  return {
    id,
    verdict: 'inconclusive',
    observed: `nothing was sent within ${waited}`,
    needed: 1,
    hint: 'appliance logs alertmanager',
  };
}
