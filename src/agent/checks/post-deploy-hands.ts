import { cutShort } from '../../capabilities/certificates/attempts.ts';
import { assess } from '../../capabilities/checks/analysis/index.ts';
import type { Check } from '../../capabilities/checks/check.ts';
import { type PostDeployHands, postDeployChecks } from '../../capabilities/checks/post-deploy/index.ts';
import { recordedChecks } from '../../capabilities/checks/post-deploy/recorded.ts';
import type { SeenService } from '../../capabilities/checks/post-deploy/services.ts';
import { labelKeys } from '../../capabilities/stack/index.ts';
import type { PolicyRule } from '../../config/policy.ts';
import { loadPolicy } from '../../config/policy-load.ts';
import { fileSystemUse, processors, totalMemory } from '../../host/machine.ts';
import { availableMemory } from '../../host/memory.ts';
import { Prometheus } from '../../host/prometheus.ts';
import type { MetricReader } from '../../lib/measurement.ts';
import type { Journal } from '../../operations/journal.ts';
import type { Alerting } from '../alerting.ts';
import type { Backups } from '../backups.ts';
import type { Certificates } from '../certificates.ts';
import { colourOf, serviceName } from '../containers.ts';
import type { Drills } from '../drills.ts';
import type { FollowUps } from './follow-ups.ts';
import { type CheckParts, once } from './parts.ts';

/** What of an appliance is looked at. */
interface Parts extends Pick<CheckParts, 'config' | 'paths' | 'clock' | 'store' | 'watch' | 'observer' | 'upkeep'> {
  readonly journal: Pick<Journal, 'recent'>;
  readonly alerting: Alerting;
  readonly certificates: Certificates;
  readonly backups: Pick<Backups, 'recent'>;
  readonly drills: Drills;
  readonly followUps: FollowUps;
  /** Measures the metrics of policies. */
  readonly read: MetricReader;
}

/** Milliseconds over which the gates of a policy are judged again. */
const longestWindow = 3_600_000;
/** Operations that are searched for a rollback. */
const searched = 1_000;

/**
 * The checklist of the live release some time after its deploy; nothing before the first.
 * @param policy whose gates go on holding
 * @param records whether the looks that were taken, and are to come, are lines of it
 */
export async function postDeployOf(parts: Parts, policy: string | undefined, records: boolean): Promise<Check[]> {
  const { followUps, clock } = parts;
  const live = followUps.live();
  if (!live) return [];
  const now = () => clock.now();
  return [
    ...postDeployChecks(await handsOf(parts, policy, live.since)),
    ...(records ? recordedChecks(live, followUps.looks, followUps.records.of(live.release, live.since), now) : []),
  ];
}

async function handsOf(parts: Parts, policy: string | undefined, since: number): Promise<PostDeployHands> {
  const { config, paths, clock, alerting, upkeep, certificates, followUps } = parts;
  const { monitoring } = config;
  const prometheus = monitoring && new Prometheus(`http://${monitoring.prometheus.listen}`);
  const rules = policy === undefined ? [] : (await loadPolicy(policy, paths.config)).policy.gates;
  // Health is seen by the services themselves, and there is nothing to compare with any more.
  const gates = rules.filter(({ metric, against }) => metric !== 'health' && against === undefined);
  return {
    since,
    now: () => clock.now(),
    samples: () => followUps.samples(),
    processors,
    memory: async () => {
      const free = await availableMemory();
      return free === null ? null : { total: totalMemory(), free };
    },
    disk: () => fileSystemUse(paths.lib),
    connections: async () => {
      const { connections, problems } = await upkeep.look();
      const [problem] = problems;
      if (!connections && problem) throw problem;
      return connections;
    },
    services: once(() => servicesOf(parts)),
    certificates: () => certificates.ends(),
    renewalErrors: () =>
      new Map(
        certificates.sets.flatMap(({ name }) => {
          const { lastError } = certificates.log.state(name);
          return lastError === null || lastError === cutShort ? [] : [[name, lastError] as const];
        }),
      ),
    backups: () => backupsOf(parts),
    alerts: {
      receivers: Object.keys(config.alerts?.receivers ?? {}).length,
      view: once((signal) => alerting.desk.view(signal)),
      notifications: () => alerting.notifications(),
    },
    series:
      prometheus &&
      (async (metric, signal) => {
        const [sample] = await prometheus.query(`count(${metric})`, { signal });
        return sample?.value ?? 0;
      }),
    wayBack: () => wayBackOf(parts),
    gates: gates.map(({ id }) => id),
    measureGates: (signal) => measureGates(parts, gates, since, signal),
  };
}

async function servicesOf({ watch, store }: Parts): Promise<SeenService[]> {
  await watch.refresh();
  if (watch.problem) throw watch.problem;
  const colour = store.live()?.colour;
  return watch
    .details()
    .filter(({ labels }) => ['app', 'core', 'edge'].includes(labels[labelKeys.role] ?? ''))
    .filter((one) => colourOf(one) === null || colourOf(one) === colour)
    .map((one) => ({
      name: serviceName(one),
      well: one.running && one.state === 'running' && one.health !== 'unhealthy',
      state: one.running && one.health !== null ? one.health : one.state,
      // Of the core nobody knows whether that was before the deploy.
      restarts: colourOf(one) === null ? 0 : one.restarts,
    }));
}

function backupsOf({ backups, drills, config }: Parts): ReturnType<PostDeployHands['backups']> {
  const recent = backups.recent();
  const ended = recent.find(({ state }) => state !== 'running');
  const sound = recent.find(({ state }) => state === 'verified' || state === 'stored');
  return {
    sound: sound ? sound.began + (sound.seconds ?? 0) * 1_000 : null,
    newestFailed: ended?.state === 'failed' ? ended.id : null,
    proven: drills.reports.lastPassed()?.at ?? null,
    enabled: config.backups.enabled,
  };
}

async function wayBackOf({ store, observer, journal }: Parts): ReturnType<PostDeployHands['wayBack']> {
  const previous = store.previous();
  const rollback = journal.recent(searched).find(({ kind, result }) => kind === 'rollback' && result === 'done');
  return {
    previous: previous && { tag: previous.tag, state: await observer.stateOf(previous.id) },
    rolledBack: rollback?.endedAt ?? null,
  };
}

async function measureGates(
  { clock, store, read }: Parts,
  gates: readonly PolicyRule[],
  since: number,
  signal: AbortSignal,
): Promise<Awaited<ReturnType<typeof assess>>['gates']> {
  const live = store.live();
  if (!live) return [];
  const now = clock.now();
  const from = Math.max(since, now - longestWindow);
  const question = {
    policy: { gates: [...gates], rollback: [], investigate: [] },
    candidate: { tag: store.get(live.release).tag, colour: live.colour },
    baseline: null,
    minRequests: 0,
    rolloutSince: from,
    since: from,
    now,
    alone: true,
  };
  return (await assess(question, read, signal)).gates;
}
