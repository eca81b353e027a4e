import type { Handlers } from '../api/handlers.ts';
import type { ApplianceEvent, Status } from '../api/schema.ts';
import { diffReleases } from '../capabilities/releases/diff.ts';
import { effective } from '../config/index.ts';
import { timestamp } from '../lib/clock.ts';
import { ApplianceError } from '../lib/errors.ts';
import { didYouMean } from '../lib/near.ts';
import { combine } from '../lib/verdict.ts';
import type { Appliance } from './appliance.ts';
import { backupHandlers } from './backup-handlers.ts';
import { bundleHandlers } from './bundles.ts';
import { CertificatePlans } from './certificate-plans.ts';
import { certificateStatus } from './certificate-status.ts';
import { type ContainerWatch, colourOf, serviceName } from './containers.ts';
import { doctorHandlers } from './doctor/index.ts';
import { supportHandlers } from './doctor/support.ts';
import { gateHandlers } from './gate.ts';
import { logLines } from './logs.ts';
import { modelHandlers } from './model-handlers.ts';
import { ModelPlans } from './model-plans.ts';
import { scanTarget } from './model-scan.ts';
import { requireModels } from './model-service.ts';
import { Plans } from './plans.ts';
import { Previews } from './previews.ts';
import { releaseReport } from './release-report.ts';
import { RestorePlans } from './restore-plans.ts';
import { detailOf, statusOf, summariesOf, summaryOf } from './status.ts';
import { version } from './version.ts';

/** Milliseconds between two readings of `stats`. */
const statsPeriod = 1_000;

/** Answers every request of the faces. */
export function createHandlers(
  a: Appliance,
  host: {
    readonly agent: Status['agent'];
    /** Makes sure that what is known of containers is current. */
    readonly fresh: () => Promise<void>;
    /** Why appliance.yaml as it stands on disk is not used. */
    readonly configProblem?: () => ApplianceError | undefined;
    /** What runs, as whoever follows the engine now sees it: a stream outlives the configuration that it began with. */
    readonly watch?: () => ContainerWatch;
  },
): Handlers {
  const watching = host.watch ?? (() => a.watch);
  const plans = new Plans(a);
  const previews = new Previews(a, plans);
  const restores = new RestorePlans(a);
  const models = new ModelPlans(a);
  const certs = new CertificatePlans(a);
  const operate = (
    kind: string,
    input: { readonly wait: number },
    caller: Parameters<Handlers['deploy']>[1],
    prepare: Parameters<Appliance['operations']['start']>[1],
  ): AsyncIterable<ApplianceEvent> =>
    a.operations.start({ kind, input, actor: caller.actor, wait: input.wait }, prepare, caller.signal);

  const handlers: Handlers = {
    ping: async () => ({ version, pid: process.pid, name: a.config.name }),
    status: async () => {
      await host.fresh();
      return statusOf(a, host.agent, host.configProblem?.());
    },
    ps: async () => {
      await host.fresh();
      if (a.watch.problem) throw a.watch.problem;
      return a.watch.services();
    },
    stats: async function* ({ follow }, { signal }) {
      await host.fresh();
      if (a.watch.problem) throw a.watch.problem;
      await a.watch.sample();
      do {
        await a.clock.sleep(statsPeriod, signal);
        await watching().sample();
        yield watching().stats();
      } while (follow && !signal.aborted);
    },
    logs: async function* (input, { signal }) {
      await host.fresh();
      if (a.watch.problem) throw a.watch.problem;
      yield* logLines(input, { engine: a.engine, clock: a.clock, details: () => watching().details() }, signal);
    },
    events: (_, { signal }) => a.hub.subscribe(signal),
    follow: ({ operation }, { signal }) => a.operations.follow(operation, signal),
    operations: async () => a.journal.recent(50).map(({ id }) => a.operations.reports.view(id)),
    releases: async () => {
      // What was resolved but never served is no release that anybody knows.
      const known = a.store.all().filter(({ deployedAt, pinned }) => deployedAt !== null || pinned);
      return summariesOf(a, known);
    },
    release: async ({ tag }) => {
      const release = a.store.find(tag);
      const approvals = await a.people.standing(release.id);
      return { ...(await detailOf(a, release)), ...(approvals ? { approvals } : {}) };
    },
    diff: async ({ from, to }) => {
      const [old, now] = [a.store.find(from), a.store.find(to)];
      const changes = diffReleases(await a.store.view(old.id), await a.store.view(now.id), a.config.routes);
      return { from: old.tag, to: now.tag, changes };
    },
    pin: async ({ tag, pinned }, { actor }) => {
      const release = a.store.find(tag);
      a.store.pin(release.id, pinned);
      a.audit.append(timestamp(a.clock.now()), actor, pinned ? 'pin' : 'unpin', release.tag, 'done');
      return summaryOf(a, a.store.get(release.id));
    },
    check: (input, { access, signal }) => {
      // Requests, and load above all, are no mere look.
      const passive: readonly string[] = ['preflight', 'config', 'post-deploy'];
      const active = input.groups.filter((group) => !passive.includes(group));
      if (access === 'viewer' && active.length > 0) {
        throw new ApplianceError('not_permitted', `viewers may not run ${active.join(', ')}: they send requests`, {
          left: 'nothing was checked',
          hint: 'ask an operator',
        });
      }
      return a.checks.stream(input, signal);
    },
    checkVerdicts: async () => a.checks.seen(),
    plan: async (input, { signal }) => {
      await host.fresh();
      return previews.showDeploy(input, signal);
    },
    approvals: (input, { signal }) => a.people.show(input, signal),
    approve: (input, { actor, signal }) => a.people.approve(input, actor, signal),
    questions: (input) => a.signOffs.show(input),
    signoff: (input, { actor }) => a.signOffs.sign(input, actor),
    report: ({ tag }) => releaseReport(a, tag),
    planRollback: (input, { signal }) => previews.showRollback(input, signal),
    planRestore: (input, { signal }) => restores.show(input, signal),
    ...bundleHandlers(a),
    ...backupHandlers(a, operate),
    backupRecover: (input, caller) => operate('recover', input, caller, () => plans.recover(caller.actor)),
    backupRestore: (input, caller) => operate('restore', input, caller, () => restores.restore(input, caller.signal)),
    deploy: (input, caller) => operate('deploy', input, caller, () => plans.deploy(input, caller.actor, caller.signal)),
    pause: async (_, { actor }) => a.rollouts.pause(actor),
    resume: async (_, { actor }) => a.rollouts.resume(actor),
    promote: async ({ all }, { actor }) => a.rollouts.promote(actor, all),
    abort: async (_, { actor }) => {
      const running = a.operations.reports.running();
      // A deploy that has not shifted anything yet is taken back like one that is interrupted.
      if (running?.kind !== 'deploy' || a.rollouts.current()) return { operation: a.rollouts.abort(actor).operation };
      a.operations.interrupt();
      a.audit.append(timestamp(a.clock.now()), actor, 'abort', a.operations.reports.record(running.id).target, 'done');
      return { operation: running.id };
    },
    rollback: (input, caller) =>
      operate('rollback', input, caller, () => plans.rollback(input, caller.actor, caller.signal)),
    up: (input, caller) => operate('up', input, caller, () => plans.up(input, caller.actor)),
    down: (input, caller) => operate('down', input, caller, () => plans.down(input)),
    restart: (input, caller) => operate('restart', input, caller, () => plans.restart(input)),
    prune: (input, caller) => operate('prune', input, caller, () => plans.prune()),
    exec: async ({ service }, { actor }) => {
      await host.fresh();
      const live = a.store.live()?.colour ?? null;
      const running = a.watch.details().filter(({ running: runs }) => runs);
      const candidates = running.filter((c) => serviceName(c) === service || c.labels['appliance.service'] === service);
      const chosen = candidates.find((c) => colourOf(c) === live) ?? candidates[0];
      if (!chosen) {
        const known = new Set(running.map((c) => c.labels['appliance.service'] ?? serviceName(c)));
        throw new ApplianceError('service_not_found', `there is no running service ${service}`, {
          hint: didYouMean(service, known) ?? `there are ${[...known].sort().join(', ')}`,
        });
      }
      a.audit.append(timestamp(a.clock.now()), actor, 'exec', serviceName(chosen), 'begun');
      return { container: chosen.id, service: serviceName(chosen) };
    },
    alerts: async (_, { signal }) => a.alerting.desk.view(signal),
    alertsTest: async ({ receivers }, { actor, signal }) => {
      const checks = await a.alerting.test(receivers, actor.user, signal);
      const verdict = combine(checks.map((check) => check.verdict));
      a.audit.append(timestamp(a.clock.now()), actor, 'alerts test', receivers.join(' ') || null, verdict);
      return { verdict, checks };
    },
    alertsDrill: (input, caller) => operate('drill', input, caller, () => plans.drill(input)),
    alertsSilence: async ({ matchers, duration, comment }, { actor }) => {
      const until = a.clock.now() + duration;
      const silence = await a.alerting.desk.silence(matchers, actor.user, until, comment);
      a.audit.append(timestamp(a.clock.now()), actor, 'silence', silence.matchers, `until ${silence.until}`);
      return silence;
    },
    alertsUnsilence: async ({ id }, { actor }) => {
      const silence = await a.alerting.desk.unsilence(id);
      a.audit.append(timestamp(a.clock.now()), actor, 'unsilence', silence.matchers, 'done');
      return silence;
    },
    alertsRaise: async ({ condition, comment }, { actor }) => {
      const raised = await a.alerting.reported.raise(condition, actor.user, comment);
      a.audit.append(timestamp(a.clock.now()), actor, 'alerts raise', condition, 'raised');
      return raised;
    },
    alertsResolve: async ({ condition }, { actor }) => {
      const resolved = await a.alerting.reported.resolve(condition);
      a.audit.append(timestamp(a.clock.now()), actor, 'alerts resolve', condition, 'over');
      return resolved;
    },
    alertsAck: async ({ alert, duration, comment }, { actor }) => {
      const until = a.clock.now() + duration;
      const alerts = await a.alerting.desk.acknowledge(alert, actor.user, until, comment);
      for (const { name, id } of alerts)
        a.audit.append(timestamp(a.clock.now()), actor, 'ack', `${name} ${id}`, `until ${timestamp(until)}`);
      return alerts;
    },
    ...modelHandlers(a),
    modelsPromote: (input, caller) =>
      operate('model-promote', input, caller, () => models.promote(input, caller.actor)),
    modelsRollback: (input, caller) =>
      operate('model-rollback', input, caller, () => models.rollback(input, caller.actor)),
    modelsRetrain: (input, caller) =>
      operate('model-retrain', input, caller, () => models.retrain(input, caller.actor)),
    modelsScan: async (input, { actor, signal }) => {
      const service = requireModels(a.modelService);
      const { finding, files } = await scanTarget(service, input.target, actor.uid, signal);
      return {
        verdict: finding.verdict,
        observed: finding.observed,
        hint: finding.hint ?? null,
        files: files.map((file) => ({ ...file, globals: [...file.globals] })),
      };
    },
    schedule: async () => a.schedule.list(),
    scheduleRun: ({ job, wait }, { actor, signal }) => a.schedule.run(job, actor, wait, signal),
    certs: async (_, { signal }) => certificateStatus(a.certificates, a.clock.now(), signal),
    certsIssue: (input, caller) =>
      operate('certs-issue', input, caller, () => certs.issue('certs-issue', input.set, 'asked for')),
    certsRenew: (input, caller) =>
      operate('certs-renew', input, caller, () => certs.issue('certs-renew', input.set, 'asked for')),
    certsImport: (input, caller) => operate('certs-import', input, caller, () => certs.import(input, caller.actor)),
    certsDryRun: (input, caller) => operate('certs-dry-run', input, caller, () => certs.rehearse(input.set)),
    configShow: async () => effective(a.config),
    selfUpdate: async ({ from, to, result }, { actor }) => {
      a.audit.append(timestamp(a.clock.now()), actor, 'self-update', `${from} to ${to}`, result);
      return {};
    },
    audit: async ({ since, limit }) => a.audit.entries(since, limit),
    auditVerify: async ({ head }) => a.audit.verify({ head }),
    ...gateHandlers(a),
    ...doctorHandlers(a, host, () => handlers),
    ...supportHandlers(a, host, () => handlers),
  };
  return handlers;
}
