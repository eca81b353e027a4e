import { databasesIn } from '../../capabilities/backups/databases.ts';
import { connectionUse } from '../../capabilities/checks/upkeep/connections.ts';
import type { EvidenceTypes, ServiceSeen } from '../../capabilities/doctor/evidence.ts';
import { logSigns } from '../../capabilities/doctor/log-signs.ts';
import { labelKeys } from '../../capabilities/stack/index.ts';
import { reachable } from '../../capabilities/traffic/addresses.ts';
import { edgeFiles } from '../../capabilities/traffic/files.ts';
import { readEnvironment } from '../../config/index.ts';
import type { ContainerDetail } from '../../host/docker.ts';
import { exists } from '../../host/files.ts';
import { askBounded } from '../../host/http-bounded.ts';
import { fileSystemUse } from '../../host/machine.ts';
import { colours } from '../../lib/colour.ts';
import { asApplianceError, messageOf } from '../../lib/errors.ts';
import { quantileOf, slowerThan } from '../../lib/histogram.ts';
import { sumOf } from '../../lib/measurement.ts';
import type { Redactor } from '../../lib/redact.ts';
import type { Appliance } from '../appliance.ts';
import { databaseCandidates } from '../backup-deps.ts';
import { ownChain } from '../checks/own-chain.ts';
import { markHeader } from '../checks/smoke-hands.ts';
import { colourOf, serviceName } from '../containers.ts';
import { wantedServices } from '../status.ts';
import type { Gatherers } from './gather.ts';

/** Lines of each log that are read (S1-74). */
const logTail = 100;
/** Milliseconds for one request, and for a question inside of a container. */
const answerWithin = 3_000;
/** Seconds beyond which an answer is slow (S2-27). */
const slowAnswer = 0.5;
/** Milliseconds of the access log that are looked back on. */
const lookBack = 300_000;

type StackEvidence = Pick<
  Gatherers,
  | 'engine'
  | 'live'
  | 'services'
  | 'edge'
  | 'routes'
  | 'instances'
  | 'requests'
  | 'logs'
  | 'database'
  | 'environment'
  | 'operations'
  | 'schema'
>;

/** What can be seen of the stack: containers, edge, logs and the database. */
export function stackEvidence(a: Appliance, redactor: () => Promise<Redactor>): StackEvidence {
  const details = async (): Promise<readonly ContainerDetail[]> => {
    await a.watch.refresh();
    if (a.watch.problem) throw a.watch.problem;
    const live = a.store.live()?.colour;
    return a.watch.details().filter((one) => colourOf(one) === null || colourOf(one) === live);
  };
  const liveTopology = async () => {
    const live = a.store.live();
    return live && { ...live, topology: (await a.observer.topologies(live.release))[live.colour] };
  };
  return {
    engine: async () => {
      try {
        await a.engine.ping();
        return { problem: null };
      } catch (error) {
        return { problem: asApplianceError(error).message };
      }
    },
    live: async () => {
      const live = a.store.live();
      if (!live) return null;
      const previous = a.store.previous();
      return {
        tag: a.store.get(live.release).tag,
        colour: live.colour,
        age: Math.max(0, (a.clock.now() - live.since) / 1_000),
        previous: previous
          ? { tag: previous.tag, state: await a.observer.stateOf(previous.id).catch(() => 'kept' as const) }
          : null,
      };
    },
    services: async () => servicesOf(a, await details()),
    edge: async (signal) => ({
      answers: await a.traffic.status(signal).then(
        () => true,
        () => false,
      ),
      weights: await a.traffic.weights(),
    }),
    routes: async (signal) => {
      const live = await liveTopology();
      const routes = live?.topology.routes ?? a.config.routes;
      const host = (a.config.edge.domains[0] ?? 'localhost').replace(/^\*\./, 'www.');
      const ca = await ownChain(a, host);
      const { host: address, port } = reachable(a.config.edge.https);
      return Promise.all(
        routes.map(async ({ path, service }) => {
          const probe = a.config.services[service]?.probe;
          // What its probe asks for is answered without a login; a prefix alone may lead nowhere.
          const asked = probe?.type === 'http' && probe.path.startsWith(path) ? probe.path : path;
          const to = { protocol: 'https', address, port, host, ca, path: asked } as const;
          return { path: asked, service, ...(await answerOf(to, signal)) };
        }),
      );
    },
    instances: async (signal) => {
      const live = await liveTopology();
      const host = a.config.edge.domains[0] ?? 'localhost';
      const all = Object.entries(live?.topology.addresses ?? {}).flatMap(([service, addresses]) => {
        const probe = a.config.services[service]?.probe;
        return probe?.type === 'http'
          ? addresses.map((address) => ({ service, address, port: probe.port, path: probe.path }))
          : [];
      });
      return Promise.all(
        all.map(async ({ service, address, port, path }) => ({
          service,
          address: `${address}:${port}`,
          ...(await answerOf({ protocol: 'http', address, port, host, path }, signal)),
        })),
      );
    },
    requests: async () => requestsOf(a),
    logs: async (signal) => {
      const clean = await redactor();
      return Promise.all(
        (await details()).map(async (one) => {
          const lines = await tailOf(a, one, signal);
          return { service: serviceName(one), lines: lines.length, signs: logSigns(lines, (text) => clean.text(text)) };
        }),
      );
    },
    database: async (signal) => databaseOf(a, signal),
    environment: async () => environmentOf(a),
    operations: async () => {
      const running = a.operations.reports.running();
      const open = a.journal.open()[0];
      const rollout = a.rollouts.current();
      const failed = a.journal
        .recent(20)
        .find(({ result }) => result === 'failed' || result === 'manual' || result === 'rolled_back');
      const left =
        open && !running ? { id: open.id, kind: open.kind, startedAt: new Date(open.startedAt).toISOString() } : null;
      return {
        running: running ? { id: running.id, kind: running.kind, startedAt: running.startedAt } : left,
        rollout: rollout ? { to: rollout.to, weight: rollout.weight } : null,
        lastFailed: failed
          ? { id: failed.id, kind: failed.kind, result: failed.result, error: failed.error?.message ?? null }
          : null,
      };
    },
    schema: async () => {
      const live = a.store.live();
      const wanted = live ? (await a.store.manifest(live.release)).schema?.version : undefined;
      return { today: a.store.databaseSchema()?.version ?? null, wanted: wanted ?? null };
    },
  };
}

async function servicesOf(a: Appliance, details: readonly ContainerDetail[]): Promise<ServiceSeen[]> {
  await a.watch.sample();
  const usage = new Map(a.watch.readings().map(({ detail, usage: used }) => [detail.id, used]));
  const there = details
    // A job that ended well has done what it was there for.
    .filter(
      ({ labels, running, exitCode }) =>
        running || exitCode !== 0 || !['job', 'migrate'].includes(labels[labelKeys.role] ?? ''),
    )
    .map((one): ServiceSeen => {
      const used = usage.get(one.id);
      const limit = used?.memoryLimitBytes ?? null;
      return {
        name: serviceName(one),
        service: one.labels[labelKeys.service] ?? serviceName(one),
        role: one.labels[labelKeys.role] ?? '',
        state: one.state,
        health: one.health,
        exitCode: one.exitCode,
        outOfMemory: one.outOfMemory,
        restarts: one.restarts,
        endedAt: one.running || one.finishedAt.startsWith('0001') ? null : one.finishedAt,
        memoryShare: used && limit ? used.memoryBytes / limit : null,
      };
    });
  const names = new Set(details.map(serviceName));
  const absent = (await wantedServices(a, a.store.live()))
    .filter((name) => !names.has(name))
    .map((name) => ({
      name,
      service: name.replace(/-\d+$/, ''),
      role: 'app',
      state: 'missing',
      health: null,
      exitCode: 0,
      outOfMemory: false,
      restarts: 0,
      endedAt: null,
      memoryShare: null,
    }));
  return [...there, ...absent];
}

async function answerOf(
  to: {
    readonly protocol: 'http' | 'https';
    readonly address: string;
    readonly port: number;
    readonly host: string;
    readonly path: string;
    readonly ca?: string | undefined;
  },
  signal: AbortSignal,
): Promise<{ status: number | null; problem: string | null }> {
  try {
    const { status } = await askBounded({ ...to, method: 'GET', headers: markHeader, timeout: answerWithin }, signal);
    return { status, problem: null };
  } catch (error) {
    signal.throwIfAborted();
    return { status: null, problem: messageOf(error) };
  }
}

async function requestsOf(a: Appliance): Promise<EvidenceTypes['requests']> {
  const seconds = lookBack / 1_000;
  const none = { seconds, total: 0, serverErrors: 0, p95: null, slow: null };
  // Before the first request there is no log, which says that nobody was refused.
  if (!(await exists(edgeFiles(a.paths).accessLog))) return none;
  await a.traffic.meter.poll();
  const to = a.clock.now();
  const over = (metric: string) =>
    sumOf(colours.map((colour) => a.traffic.meter.measure(metric, { colour }, { from: to - lookBack, to })));
  const [errors, times] = [over('errors'), over('latency-p95')];
  if (errors.kind === 'none') throw new Error(errors.why);
  if (errors.kind !== 'share' || times.kind !== 'times') return none;
  return {
    seconds,
    total: errors.of,
    serverErrors: errors.hits,
    p95: quantileOf(times.times, 0.95) ?? null,
    slow: times.times.count === 0 ? null : slowerThan(times.times, slowAnswer) / times.times.count,
  };
}

async function tailOf(a: Appliance, one: ContainerDetail, signal: AbortSignal): Promise<string[]> {
  let text = '';
  for await (const chunk of a.engine.logs(one, { follow: false, tail: logTail, signal })) text += chunk.text;
  // The engine's time stamp stands in front of each.
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.replace(/^\S+Z /, ''));
}

async function databaseOf(a: Appliance, signal: AbortSignal): Promise<EvidenceTypes['database']> {
  const candidates = await databaseCandidates(a.engine, a.config.name);
  const wanted = a.config.monitoring?.database?.service;
  const found = databasesIn(candidates, a.config.backups.databases).find(
    (one) => one.kind === 'postgres' && (wanted === undefined || one.service === wanted),
  );
  if (!found)
    return wanted === undefined ? null : { service: wanted, problem: 'it has no container', used: 0, limit: 0 };
  const { service, container, running } = found;
  if (!running) return { service, problem: 'it does not run', used: 0, limit: 0 };
  try {
    const use = await connectionUse((argv) => a.engine.exec(container, argv, { timeout: answerWithin, signal }));
    return { service, problem: null, ...use };
  } catch (error) {
    signal.throwIfAborted();
    return { service, problem: asApplianceError(error).message, used: 0, limit: 0 };
  }
}

async function environmentOf(a: Appliance): Promise<EvidenceTypes['environment']> {
  const file = a.config.source.envFile ?? null;
  const live = a.store.live();
  const before = live ? await a.store.environment(live.release) : {};
  try {
    const { values } = await readEnvironment(file ?? undefined);
    const emptied = Object.entries(before).flatMap(([key, value]) =>
      value !== '' && (values[key] ?? '') === '' ? [key] : [],
    );
    return { file, problem: null, emptied: file === null ? [] : emptied };
  } catch (error) {
    return { file, problem: asApplianceError(error).message, emptied: [] };
  }
}

/** The file system that the state lies on. @param extra what takes how much, where it is known */
export async function diskOf(
  directory: string,
  takes: () => Promise<readonly { readonly what: string; readonly bytes: number }[]>,
): Promise<EvidenceTypes['disk']> {
  const use = await fileSystemUse(directory);
  return {
    directory: use.directory,
    total: use.total,
    free: use.free,
    inodesFree: use.inodes === 0 ? null : use.freeInodes / use.inodes,
    takes: [...(await takes().catch(() => []))]
      .filter(({ bytes }) => bytes > 0)
      .sort((one, other) => other.bytes - one.bytes),
  };
}
