import type { ReceiverConfig } from '../../config/alerts.ts';
import type { Alertmanager } from '../../host/alertmanager.ts';
import { type Clock, timestamp } from '../../lib/clock.ts';
import { formatDuration } from '../../lib/units.ts';
import type { Finding } from '../../lib/verdict.ts';
import { marks, testName } from './labels.ts';
import { type Delivered, delivered, judgeDelivery } from './receipt.ts';

/** Milliseconds for a notification to be accepted. */
const patience = 20_000;
/** Milliseconds that a receiver gets for a second try after it has refused. */
const secondTry = 4_000;
/** Milliseconds between two looks at Alertmanager's counters. */
const pause = 250;

export interface TestDeps {
  readonly alertmanager: Alertmanager;
  readonly clock: Clock;
  /** Name of the appliance. */
  readonly name: string;
  /** What Alertmanager has logged about a receiver that refused, since a time (milliseconds since 1970). */
  readonly explain: (receiver: string, since: number) => Promise<string | undefined>;
}

/**
 * Sends a test alert through each receiver and waits until its server has accepted it. Alertmanager's API says "success"
 * to any alert, also with a wrong password; only its own counters of deliveries tell (prometheus/alertmanager#2845).
 * @returns a finding for each receiver
 */
export async function testReceivers(
  deps: TestDeps,
  receivers: Readonly<Record<string, ReceiverConfig>>,
  actor: string,
  signal: AbortSignal,
): Promise<Finding[]> {
  const byChannel = new Map<string, [string, ReceiverConfig][]>();
  for (const entry of Object.entries(receivers))
    byChannel.set(entry[1].type, [...(byChannel.get(entry[1].type) ?? []), entry]);
  // One at a time within a channel: where Alertmanager counts by integration, two would not be told apart.
  const findings = await Promise.all(
    [...byChannel.values()].map(async (entries) => {
      const found: Finding[] = [];
      for (const [name, { type }] of entries) found.push(await testOne(deps, { name, type }, actor, signal));
      return found;
    }),
  );
  return findings.flat();
}

async function testOne(
  { alertmanager, clock, name, explain }: TestDeps,
  receiver: { readonly name: string; readonly type: ReceiverConfig['type'] },
  actor: string,
  signal: AbortSignal,
): Promise<Finding> {
  const before = await alertmanager.deliveries(signal);
  const [at, started] = [clock.now(), clock.monotonic()];
  const alert = {
    labels: {
      alertname: testName,
      severity: 'info',
      appliance: name,
      [marks.test]: receiver.name,
      test: String(at),
    },
    annotations: { summary: `test of receiver ${receiver.name} by ${actor}; nothing is wrong` },
    startsAt: timestamp(at),
  };
  await alertmanager.post([{ ...alert, endsAt: timestamp(at + 2 * patience) }], signal);
  const waited = () => clock.monotonic() - started;
  let seen: Delivered = { accepted: 0, refused: 0 };
  let refusedAt: number | undefined;
  while (seen.accepted === 0 && waited() < patience) {
    if (refusedAt !== undefined && waited() - refusedAt >= secondTry) break;
    await clock.sleep(pause, signal);
    seen = delivered(before, await alertmanager.deliveries(signal), receiver);
    if (seen.refused > 0) refusedAt ??= waited();
  }
  const took = formatDuration(waited());
  await alertmanager.post([{ ...alert, endsAt: timestamp(clock.now()) }], signal);
  const reason = seen.accepted === 0 && seen.refused > 0 ? await explain(receiver.name, at) : undefined;
  return judgeDelivery(receiver, seen, took, reason);
}
