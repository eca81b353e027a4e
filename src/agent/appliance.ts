import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { createRestoreSteps } from '../capabilities/backups/restore-steps.ts';
import { SecretAges } from '../capabilities/checks/upkeep/secret-ages.ts';
import { ReleaseStore } from '../capabilities/releases/store.ts';
import { CoreStore } from '../capabilities/stack/core-store.ts';
import { createStackSteps, type StackRelease } from '../capabilities/stack/index.ts';
import { createTraffic } from '../capabilities/traffic/index.ts';
import { RolloutStore } from '../capabilities/traffic/rollout-store.ts';
import type { ShadowReports } from '../capabilities/traffic/shadow/step.ts';
import { loadConfigUnderPolicy, readEnvironment } from '../config/index.ts';
import { latencyLimits } from '../config/policy-load.ts';
import type { Config } from '../config/schema.ts';
import { Ballast } from '../host/ballast.ts';
import { composeHands } from '../host/compose.ts';
import { Engine } from '../host/docker.ts';
import { SourceRepository } from '../host/git.ts';
import type { Database } from '../host/sqlite.ts';
import { type Clock, timestamp } from '../lib/clock.ts';
import { drainSchema } from '../lib/drain.ts';
import { type ApplianceError, asApplianceError } from '../lib/errors.ts';
import type { MetricReader } from '../lib/measurement.ts';
import type { Paths } from '../lib/paths.ts';
import { shadowReportSchema } from '../lib/shadow.ts';
import { AuditLog } from '../operations/audit.ts';
import { findingSchema } from '../operations/finding.ts';
import { Journal } from '../operations/journal.ts';
import { Reports } from '../operations/reports.ts';
import { Runner, type RunnerEvent } from '../operations/runner.ts';
import type { StepType } from '../operations/step.ts';
import type { ModelSteps } from '../recipes/models.ts';
import type { CertificateSteps } from '../recipes/renew-certificates.ts';
import type { ResolveDeps } from '../recipes/resolve.ts';
import type { RestoreSteps } from '../recipes/restore.ts';
import type { Steps } from '../recipes/steps.ts';
import { alertRules } from './alert-rules.ts';
import { Alerting } from './alerting.ts';
import { Backups } from './backups.ts';
import { checkCertificate } from './certificate-check.ts';
import { certificateJobs } from './certificate-jobs.ts';
import { CertificatePlans } from './certificate-plans.ts';
import { Certificates } from './certificates.ts';
import { FollowUps, wantedLooks } from './checks/follow-ups.ts';
import { Checks } from './checks/index.ts';
import { postDeployOf } from './checks/post-deploy-hands.ts';
import { ContainerWatch } from './containers.ts';
import { Drills } from './drills.ts';
import { execInEdge } from './edge-exec.ts';
import { EventHub } from './events.ts';
import { agentActor } from './identity.ts';
import { jobsOf } from './jobs.ts';
import { ModelService, modelsDirectory } from './model-service.ts';
import { Models } from './models.ts';
import { Monitoring } from './monitoring.ts';
import { Observer } from './observer.ts';
import { certificateKinds, finishedKinds, urgentKinds, yieldingKinds } from './operation-kinds.ts';
import { Operations } from './operations.ts';
import { assertOwner, claim } from './owner.ts';
import { People } from './people.ts';
import { loadRelease } from './release-files.ts';
import { releaseSteps } from './release-steps.ts';
import { restoreDepsOf } from './restore-deps.ts';
import { eyesOf } from './rollout-analysis.ts';
import { Rollouts } from './rollouts.ts';
import { ScheduleService } from './schedule.ts';
import { SignOffs } from './sign-offs.ts';
import { stackDepsOf } from './stack-deps.ts';
import type { Turns } from './turns.ts';
import { Upkeep } from './upkeep.ts';

/** Everything that belongs to one appliance, put together. The only place where capabilities meet. */
export interface Appliance {
  readonly config: Config;
  readonly paths: Paths;
  readonly clock: Clock;
  readonly engine: Engine;
  readonly store: ReleaseStore;
  readonly core: CoreStore;
  readonly traffic: ReturnType<typeof createTraffic>;
  readonly journal: Journal;
  readonly audit: AuditLog;
  readonly hub: EventHub;
  readonly operations: Operations;
  readonly rollouts: Rollouts;
  /** Measures the metrics of policies. */
  readonly read: MetricReader;
  /** What runs by the clock. */
  readonly schedule: ScheduleService;
  /** Restores of backups into throw-away containers. */
  readonly drills: Drills;
  readonly observer: Observer;
  readonly watch: ContainerWatch;
  readonly ballast: Ballast;
  readonly alerting: Alerting;
  readonly monitoring: Monitoring;
  readonly upkeep: Upkeep;
  /** Repository, key and records of backups, and the steps that make them. */
  readonly backups: Backups;
  readonly restoreSteps: RestoreSteps;
  readonly certificates: Certificates;
  readonly certificateSteps: CertificateSteps;
  readonly checks: Checks;
  /** Looks at the live release an hour, a day and a week after it went live. */
  readonly followUps: FollowUps;
  /** Who approved what. */
  readonly people: People;
  /** What people answered, and who signed a release off. */
  readonly signOffs: SignOffs;
  /** The models directory and its registry. */
  readonly models: Models;
  /** Models beside running processes; undefined without a section `models` in appliance.yaml. */
  readonly modelService: ModelService | undefined;
  readonly modelSteps: ModelSteps | undefined;
  readonly resolve: ResolveDeps;
  readonly steps: Steps;
  /** Lets go of files that it alone holds. Other generations of it go on with the database. */
  retire(): void;
  /** Lets go of everything. */
  close(): void;
}

export interface ApplianceOptions {
  readonly paths: Paths;
  readonly clock: Clock;
  /** False for reading beside a writer: the database is then a copy in memory of nothing, or opened read-only. */
  readonly database: Database;
  /** Where events go; one of its own by default. */
  readonly hub?: EventHub;
  /** Whose turn it is in this process; of its own by default. */
  readonly turns?: Turns;
  /** Told of each transition after it stands in the journal and before the work goes on. */
  readonly onTransition?: (event: RunnerEvent) => void | Promise<void>;
  /** Told of what went wrong and cannot be written down. */
  readonly onError?: (error: ApplianceError) => void;
}

/**
 * Puts an appliance together from its configuration.
 * @throws ApplianceError `config_missing`, `config_invalid` (also for another name than the state directory belongs to)
 */
export async function openAppliance(options: ApplianceOptions): Promise<Appliance> {
  const { paths, clock, database, onError = () => undefined } = options;
  const config = await loadConfigUnderPolicy(paths.config);
  mkdirSync(paths.lib, { recursive: true, mode: 0o755 });
  const engine = new Engine();
  const journal = new Journal(database);
  const audit = new AuditLog(database, {
    head: join(paths.log, 'audit.head'),
    archive: join(paths.lib, 'audit'),
    actor: agentActor,
    now: () => timestamp(clock.now()),
    onError: (error) => onError(asApplianceError(error)),
  });
  const reports = new Reports(database);
  const hub = options.hub ?? new EventHub();
  const store = new ReleaseStore({ database, directory: paths.releases, clock });
  const claimed = { paths, name: config.name, releases: store.all().length };
  await (database.readonly || database.memory ? assertOwner(claimed) : claim(claimed));
  const release = (id: string): Promise<StackRelease> => loadRelease(store, id);
  const core = new CoreStore({ config, paths, engine, release, releaseDirectory: (id) => store.files(id).directory });
  const traffic = createTraffic({
    config,
    paths,
    clock,
    exec: (argv, about) => execInEdge(engine, config.name, argv, about),
    limits: () => latencyLimits(paths.config),
  });
  const watch = new ContainerWatch({ engine, clock, name: config.name, live: () => store.live()?.colour ?? null });
  const alerting = new Alerting({
    config,
    paths,
    clock,
    database,
    engine,
    watch,
    live: () => store.live(),
    // A drill stops a service so that it is noticed.
    busy: () => ![undefined, 'drill'].includes(operations.reports.running()?.kind),
    onError,
  });
  const observer = new Observer({ config, clock, engine, store, core, traffic, release });
  const resolve: ResolveDeps = {
    config,
    store,
    compose: composeHands,
    repository: new SourceRepository(config.source.repository, join(paths.lib, 'source.git')),
    readEnvironment: () => readEnvironment(config.source.envFile),
    persistentDirectory: join(paths.lib, 'persistent'),
    scratchDirectory: join(paths.lib, 'scratch'),
  };
  const monitoring = new Monitoring({
    config,
    paths,
    engine,
    live: () => store.live(),
    topologies: (id) => observer.topologies(id),
    rules: () => alertRules(config, paths.config, runningRules()),
  });
  const certificates = new Certificates({
    config,
    paths,
    clock,
    database,
    alerting,
    served: (domain, signal) => traffic.served(domain, signal),
    busy: () => operations.reports.running()?.kind.startsWith('certs-') ?? false,
  });
  // nginx finds a certificate for each of its servers whenever it starts.
  if (!database.readonly && !database.memory) await certificates.ensure();
  const certificateSteps: CertificateSteps = {
    ...certificates.steps(),
    checkCertificate: checkCertificate({ certificates, alerting, random: Math.random }),
    installCertificate: traffic.installCertificate,
    configureEdge: traffic.configureEdge,
  };
  const stackDeps = stackDepsOf({
    config,
    paths,
    engine,
    store,
    core,
    alerting,
    monitoring,
    traffic,
    reports,
    release,
  });
  const shadows: ShadowReports = {
    of: (operation) => reports.of(operation, 'shadow', shadowReportSchema)[0],
    keep: (operation, report) => reports.keep(operation, 'shadow', report.to, report),
  };
  const stack = createStackSteps(stackDeps);
  const rolloutStore = new RolloutStore(database);
  const runningRules = () =>
    journal
      .open()
      .map(({ id }) => rolloutStore.of(id)?.rules)
      .find((rules) => rules !== undefined);
  const upkeep = new Upkeep({
    config,
    clock,
    engine,
    ages: new SecretAges(database),
    certificates: () => certificates.ends(),
    live: async () => {
      const live = store.live();
      return live ? release(live.release) : undefined;
    },
  });
  const rollouts = new Rollouts({
    store: rolloutStore,
    journal,
    audit,
    hub,
    clock,
    shadowOf: shadows.of,
    onSeen: (rollout) => alerting.seen(rollout),
  });
  const eyes = eyesOf({ config, engine, edge: traffic.meter.read });
  const lookedAt = { config, paths, clock, store, watch, observer, journal, alerting, upkeep, certificates };
  const followUps = new FollowUps({
    clock,
    database,
    store,
    watch,
    alerting,
    reports,
    looks: await wantedLooks(config, paths.config),
    run: (signal) => checks.lookAfter(signal),
  });
  const lookAfter = followUps.step();
  const checks: Checks = new Checks(
    {
      config,
      paths,
      clock,
      engine,
      store,
      core,
      watch,
      observer,
      upkeep,
      modelDirectory: config.models && modelsDirectory(paths, config.models),
      certificateEnds: () => certificates.ends(),
      release,
      postDeploy: (policy, records) =>
        postDeployOf({ ...lookedAt, backups, drills, followUps, read: eyes.read }, policy, records),
    },
    database,
  );
  const people = new People({ config, paths, clock, database, store, resolve, audit });
  const signOffs = new SignOffs({ config, paths, clock, database, store, journal, audit });
  const steps = releaseSteps({
    config,
    paths,
    clock,
    engine,
    store,
    core,
    traffic,
    alerting,
    observer,
    checks,
    people,
    reports,
    rolloutStore,
    shadows,
    stack,
    stackDeps,
    resolve,
  });
  const models = new Models({
    config,
    paths,
    clock,
    writes: !database.readonly && !database.memory,
    onDisturbed: (what) =>
      alerting.raise({
        name: 'ModelRegistryDisturbed',
        severity: 'warning',
        summary: what,
        hint: 'see what it knows: appliance models list; register what it does not, and end this alert: appliance models verify --repair',
      }),
  });
  const backups = new Backups({ config, paths, clock, engine, database, store, models: models.directory });
  const modelService = ModelService.of({
    config,
    paths,
    clock,
    engine,
    store,
    stack: stackDeps,
    registry: () => models.registry(),
    eyes,
    alerting,
    running: () => operations.reports.running()?.kind ?? null,
    onClosed: () => hub.publish({ event: 'status', time: timestamp(clock.now()) }),
  });
  const modelSteps = modelService?.steps();
  const drills = new Drills({
    config,
    clock,
    engine,
    database,
    store,
    backups,
    models: models.directory,
    onReport: (report) => alerting.drilled(report),
  });
  const restoreSteps = createRestoreSteps(
    restoreDepsOf({ config, paths, clock, engine, store, models, backups, modelService: () => modelService }),
  );
  const runner: Runner = new Runner({
    journal,
    clock,
    steps: registry({
      ...steps,
      ...backups.steps,
      ...drills.steps,
      ...restoreSteps,
      ...modelSteps,
      ...certificateSteps,
      lookAfter,
    }),
    onEvent: async (event) => {
      operations.onRunnerEvent(event);
      await options.onTransition?.(event);
    },
    onWrite: (operation, state) => operations.onRunnerWrite(operation, state),
  });
  const ballast = new Ballast(paths.lib);
  const operations: Operations = new Operations({
    onEnded: (result) => {
      alerting.ended(result);
      const { kind, to, error } = result;
      if (certificateKinds.has(kind) && to !== null && error && error.code !== 'interrupted')
        certificates.failed(to, error);
    },
    journal,
    audit,
    hub,
    clock,
    runner,
    turns: options.turns,
    urgentKinds,
    yieldingKinds,
    finishedKinds,
    makeRoom: () => void ballast.secure(),
    onError,
    rollouts: rolloutStore,
    verdictsOf: (id) => [...reports.of(id, 'checks', z.array(findingSchema)).flat(), ...rollouts.findings(id)],
    reportsOf: (id) => ({ drains: reports.of(id, 'drain', drainSchema), shadow: shadows.of(id) ?? null }),
  });
  const certificatePlans = new CertificatePlans({ certificates, certificateSteps, observer, store, clock });
  const schedule = new ScheduleService({
    name: config.name,
    clock,
    database,
    journal,
    operations,
    jobs: jobsOf({
      config,
      backups,
      drills,
      certificates: (zone) => certificateJobs(certificates, certificatePlans, zone),
      followUps: (zone) => followUps.job(zone, lookAfter.plan),
    }),
    onError,
  });
  const retire = (): void => {
    audit.settle();
    void traffic.meter.close();
    models.close();
  };
  return {
    config,
    paths,
    clock,
    engine,
    store,
    core,
    traffic,
    journal,
    audit,
    hub,
    operations,
    rollouts,
    read: eyes.read,
    schedule,
    drills,
    observer,
    watch,
    ballast,
    alerting,
    monitoring,
    upkeep,
    backups,
    restoreSteps,
    certificates,
    certificateSteps,
    checks,
    followUps,
    people,
    signOffs,
    models,
    modelService,
    modelSteps,
    resolve,
    steps,
    retire,
    close: () => {
      retire();
      database.close();
    },
  };
}

/** Step types by the name that the journal knows them by. */
function registry(
  steps: Readonly<Record<string, Pick<StepType<never>, 'action' | 'bind'>>>,
): ReadonlyMap<string, Pick<StepType<never>, 'action' | 'bind'>> {
  return new Map(Object.values(steps).map((step) => [step.action, step]));
}
