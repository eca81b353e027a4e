import type { ReleaseDetail, ReleaseSummary, ServiceStatus, Status } from '../api/schema.ts';
import type { Live, ReleaseRecord } from '../capabilities/releases/store.ts';
import { containerNames, labelKeys } from '../capabilities/stack/index.ts';
import { timestamp } from '../lib/clock.ts';
import { allOn, type Colour, otherColour } from '../lib/colour.ts';
import type { ApplianceError } from '../lib/errors.ts';
import { combine, type Finding } from '../lib/verdict.ts';
import type { Appliance } from './appliance.ts';
import { backupStatus } from './backup-watch.ts';
import { certificateFindings } from './certificate-status.ts';
import { edgeAddress } from './edge-address.ts';
import type { Standing } from './observer.ts';
import { requestsNow } from './requests-now.ts';
import { version } from './version.ts';

/** One glance at everything (CONTRACT `status`). @param agent whether a running agent answers, and since when */
export async function statusOf(a: Appliance, agent: Status['agent'], configProblem?: ApplianceError): Promise<Status> {
  // First: what it changes while the rest is read does not look like a fault.
  const operation = a.operations.reports.running();
  const rollout = a.rollouts.current();
  const live = a.store.live();
  const services = a.watch.services();
  const [weights, reachable] = await Promise.all([a.traffic.weights(), edgeAnswers(a)]);
  const edge = edgeAddress(
    a.config.edge,
    a.watch.details().find(({ labels, running }) => running && labels[labelKeys.role] === 'edge'),
  );
  const alerting = await a.alerting.desk.view(AbortSignal.timeout(alertsPatience));
  const release = live && { tag: a.store.get(live.release).tag, colour: live.colour, since: timestamp(live.since) };
  const findings: Finding[] = [
    release
      ? { id: 'release', verdict: 'pass', observed: `${release.tag} on ${release.colour}` }
      : { id: 'release', verdict: 'inconclusive', observed: 'nothing is deployed yet', hint: 'appliance deploy TAG' },
    reachable
      ? { id: 'edge', verdict: 'pass', observed: 'the edge answers' }
      : { id: 'edge', verdict: 'fail', observed: 'the edge does not answer', hint: 'appliance up' },
    ...edge.findings,
    ...(await serviceFindings(a, live)),
    ...(await a.monitoring.findings()),
    ...(await certificateFindings(a.certificates, a.clock.now())),
  ];
  if (configProblem) {
    findings.push({
      id: 'config',
      verdict: 'fail',
      observed: `appliance.yaml as it stands is not used: ${configProblem.message}`,
      hint: configProblem.hint ?? 'appliance config check',
    });
  }
  if (rollout && !agent.running) {
    findings.push({
      id: 'rollout',
      verdict: 'inconclusive',
      observed: `the rollout of ${rollout.to} is open and no agent runs: unless the command that began it does, nobody goes on with it`,
      hint: 'start it: appliance-start, or systemctl start appliance',
    });
  }
  if (release && weights && !operation) {
    const right = weights[release.colour] === allOn(release.colour)[release.colour];
    findings.push({
      id: 'traffic',
      verdict: right ? 'pass' : 'fail',
      observed: `${release.colour} ${weights[release.colour]} %, ${otherColour(release.colour)} ${weights[otherColour(release.colour)]} %`,
      ...(right ? {} : { expected: `all on ${release.colour}`, hint: 'appliance up' }),
    });
  }
  return {
    name: a.config.name,
    version,
    release,
    // What a rollout tries out on the other colour is no way back.
    warm: live && !rollout ? warmRelease(a, live.colour) : null,
    traffic: weights ?? { blue: 0, green: 0 },
    // Only an agent goes on reading the access log; anybody else would begin with hours of it.
    requests: agent.running ? await requestsNow(a.traffic, a.clock) : null,
    services,
    operation,
    rollout,
    models: { active: (await a.modelService?.current()) ?? null },
    backup: backupStatus(a),
    certificates: (await a.certificates.inForce()).map(({ names, notAfter, issuer }) => ({
      domains: [...names],
      notAfter: timestamp(notAfter),
      issuer,
      daysLeft: Math.floor((notAfter - a.clock.now()) / 86_400_000),
    })),
    alerts: alerting.alerts
      .filter(({ state }) => state === 'firing' || state === 'acknowledged')
      .map(({ id, severity, summary, since }) => ({ id, severity, summary, since })),
    verdict: combine(findings.map(({ verdict }) => verdict)),
    edge: { http: `http://${edge.http}`, https: `https://${edge.https}`, reachable },
    agent,
    findings,
  };
}

/** Milliseconds within which Alertmanager must say what fires; without it the agent's own alerts are shown. */
const alertsPatience = 1_000;
/** Milliseconds within which the edge must say how it is. */
const edgePatience = 5_000;

async function edgeAnswers(a: Appliance): Promise<boolean> {
  try {
    await a.traffic.status(AbortSignal.timeout(edgePatience));
    return true;
  } catch {
    return false;
  }
}

/** The release that could have the traffic at once: all of its containers run on the other colour. */
function warmRelease(a: Appliance, live: Colour): Status['warm'] {
  const colour = otherColour(live);
  const apps = a.watch
    .details()
    .filter(({ labels }) => labels['appliance.colour'] === colour && labels['appliance.role'] === 'app');
  const [first] = apps;
  const tag = first?.labels['appliance.release'];
  const sound = apps.every(
    ({ running, health, labels }) => running && health !== 'unhealthy' && labels['appliance.release'] === tag,
  );
  return tag !== undefined && sound ? { tag, colour } : null;
}

/** The live colour and the core must be there and run; the other colour may do as it likes. */
async function serviceFindings(a: Appliance, live: Live | null): Promise<Finding[]> {
  if (a.watch.problem) {
    return [
      {
        id: 'engine',
        verdict: 'fail',
        observed: a.watch.problem.message,
        ...(a.watch.problem.hint ? { hint: a.watch.problem.hint } : {}),
      },
    ];
  }
  const finished = new Set(
    a.watch
      .details()
      .filter(
        ({ labels, exitCode, running }) =>
          !running && exitCode === 0 && ['job', 'migrate'].includes(labels['appliance.role'] ?? ''),
      )
      .map(({ labels }) => labels['com.docker.compose.service']),
  );
  const relevant = a.watch
    .services()
    .filter(({ colour, name }) => (colour === null || colour === live?.colour) && !finished.has(name));
  const bad = relevant.filter(({ state, health }) => state !== 'running' || health === 'unhealthy');
  if (relevant.length === 0)
    return [{ id: 'services', verdict: 'fail', observed: 'nothing runs', hint: 'appliance up' }];
  const there = new Set(relevant.map(({ name }) => name));
  const missing = (await wantedServices(a, live)).filter((name) => !there.has(name));
  const problems = [
    ...missing.map((name) => `${name}: no container`),
    ...bad.map(({ name, state, health }) => `${name}: ${health ?? state}`),
  ];
  const hint = missing.length > 0 ? 'appliance up' : bad[0] && adviceFor(bad[0]);
  return [
    {
      id: 'services',
      verdict: problems.length === 0 ? 'pass' : 'fail',
      observed: problems.length === 0 ? `${relevant.length} run` : problems.join(', '),
      samples: relevant.length,
      ...(hint === undefined ? {} : { hint }),
    },
  ];
}

/** What `up` starts again needs no look at its log. */
function adviceFor({ name, state }: Pick<ServiceStatus, 'name' | 'state'>): string {
  return state === 'paused' ? 'appliance up' : `appliance logs ${name}`;
}

/** Names of the containers that the core and the live release consist of. */
export async function wantedServices(a: Appliance, live: Live | null): Promise<string[]> {
  const core = await a.core.services();
  if (!live) return core;
  const { services } = await a.store.manifest(live.release);
  return [...core, ...services.filter(({ role }) => role === 'app').flatMap(containerNames)];
}

/** Releases in short, in the order in which they are given. */
export async function summariesOf(a: Appliance, releases: readonly ReleaseRecord[]): Promise<ReleaseSummary[]> {
  const standing = await a.observer.standings(releases.map(({ id }) => id));
  return Promise.all(releases.map((release) => summaryWith(a, release, standing(release.id))));
}

export async function summaryOf(a: Appliance, release: ReleaseRecord): Promise<ReleaseSummary> {
  return summaryWith(a, release, (await a.observer.standings([release.id]))(release.id));
}

async function summaryWith(a: Appliance, release: ReleaseRecord, standing: Standing): Promise<ReleaseSummary> {
  const [images, manifest] = await Promise.all([a.store.images(release.id), a.store.manifest(release.id)]);
  return {
    id: release.id,
    tag: release.tag,
    commit: release.commit,
    ...standing,
    deployedAt: release.deployedAt === null ? null : timestamp(release.deployedAt),
    actor: release.actor,
    images: Object.entries(images ?? {}).map(([service, { ref, id }]) => ({ service, ref, digest: id })),
    schema: manifest.schema?.version ?? null,
    verdict: release.verdict,
    pinned: release.pinned,
  };
}

export async function detailOf(a: Appliance, release: ReleaseRecord): Promise<ReleaseDetail> {
  const [summary, manifest, images] = await Promise.all([
    summaryOf(a, release),
    a.store.manifest(release.id),
    a.store.images(release.id),
  ]);
  const bytes = new Map(Object.values(images ?? {}).map((image) => [image.id, image.bytes]));
  const operations = a.journal.about(release.tag, 1_000);
  const deploy = operations.find(({ kind }) => kind === 'deploy');
  return {
    ...summary,
    checks: deploy ? a.operations.reports.view(deploy.id).verdicts : [],
    followUps: a.followUps.of(release.id),
    createdAt: manifest.createdAt,
    environmentKeys: manifest.environment.keys,
    environmentSha256: manifest.environment.sha256,
    services: manifest.services.map(({ name, role, replicas }) => ({ name, role, replicas })),
    schemaReadableFrom: manifest.schema?.readableFrom ?? null,
    imageBytes: [...bytes.values()].reduce((sum, size) => sum + size, 0),
    history: operations.map(({ id, kind, startedAt, result, actor }) => ({
      operation: id,
      kind,
      at: timestamp(startedAt),
      result,
      actor: actor.user,
      shadow: a.operations.reports.view(id).shadow ?? null,
    })),
  };
}
