import { EventHub } from '../../../src/agent/events.ts';
import type { CheckEvent } from '../../../src/api/checks.ts';
import type { DoctorEvent } from '../../../src/api/doctor.ts';
import type { Caller, Handlers } from '../../../src/api/handlers.ts';
import type { Approvals, SignOffView } from '../../../src/api/people.ts';
import type {
  Actor,
  ApplianceEvent,
  LogLine,
  OperationResult,
  Plan,
  ReleaseSummary,
  Rollout,
  RunningOperation,
  ServiceStatus,
  Status,
} from '../../../src/api/schema.ts';
import { serve } from '../../../src/api/server.ts';
import type { SupportEvent } from '../../../src/api/support.ts';
import { systemClock, timestamp } from '../../../src/lib/clock.ts';
import { otherColour } from '../../../src/lib/colour.ts';
import { ApplianceError } from '../../../src/lib/errors.ts';
import { pathsFor } from '../../../src/lib/paths.ts';
import { combine } from '../../../src/lib/verdict.ts';
import {
  recordedAlerts,
  recordedAudit,
  recordedModel,
  recordedModels,
  recordedRollout,
  recordedStatus,
} from './records.ts';
import { recordedBackup, recordedBackups, recordedCertificates, recordedChecks, recordedJobs } from './records-care.ts';

/**
 * A stage for the faces: the agent's own server and event hub on real sockets, with an appliance behind them that is
 * played. What a face sees is the real protocol; what it sees happens in milliseconds and needs no engine.
 */
export interface StageOptions {
  /** APPLIANCE_ROOT of the play. */
  readonly root: string;
  /** Milliseconds that a step of an operation takes. */
  readonly stepTime: number;
  /** Milliseconds between two log lines. */
  readonly logPause: number;
  /** Makes the appliance unwell: its cache has exited. */
  readonly unwell?: boolean;
  /** Everything is there: models, alerts, a rollout, backups, certificates. */
  readonly recorded?: boolean;
  /** Containers besides the usual ones. */
  readonly more?: readonly string[];
  /** Log lines that come at once; default: 1. */
  readonly burst?: number;
}

const minute = 60_000;
const ago = (ms: number) => timestamp(Date.now() - ms);
const appServices = ['backend-1', 'backend-2', 'frontend-prediction', 'frontend-training'];
const coreServices = ['edge', 'postgres', 'redis'];
const steps = [
  { name: 'preflight', title: 'check the host' },
  { name: 'start-colour', title: 'start the idle colour' },
  { name: 'wait-healthy', title: 'wait until it is healthy' },
  { name: 'shift', title: 'shift the traffic' },
] as const;

/** @returns closes the stage */
export async function openStage(options: StageOptions): Promise<() => Promise<void>> {
  const stage = new Stage(options);
  return serve({
    paths: pathsFor(options.root),
    handlersFor: async () => stage.handlers,
    groups: { operators: undefined, viewers: undefined },
    userName: (uid) => `user-${uid}`,
    loginOf: () => undefined,
    onError: (error) => process.stderr.write(`stage: ${String(error)}\n`),
  });
}

async function* emptyBundle(): AsyncGenerator<SupportEvent> {
  yield { event: 'report', report: { time: ago(0), seconds: 0.1, files: [], redacted: {}, notes: [] } };
}

async function* diagnosis({
  symptom = null,
}: {
  readonly symptom?: string | undefined | null;
}): AsyncGenerator<DoctorEvent> {
  const time = ago(0);
  yield {
    event: 'report',
    report: { verdict: 'pass', symptom, by: 'agent', time, seconds: 0.1, symptoms: [], fixes: [] },
  };
}

class Stage {
  readonly #options: StageOptions;
  readonly #hub = new EventHub();
  readonly #history: OperationResult[] = [];
  readonly #pinned = new Set(['v0.9']);
  /** Events of the operation that runs, for those who join it later. */
  #told: ApplianceEvent[] = [];
  #running: RunningOperation | null = null;
  #live: NonNullable<Status['release']> = { tag: 'v1.0', colour: 'blue', since: ago(134 * minute) };

  constructor(options: StageOptions) {
    this.#options = options;
  }

  readonly handlers: Handlers = {
    status: async () => this.#status(),
    ping: async () => ({ version: '0.0.1', pid: process.pid, name: 'routing-ml' }),
    ps: async () => this.#services(),
    stats: (input, caller) => this.#stats(input.follow, caller.signal),
    logs: (input, caller) => this.#logs(input, caller.signal),
    events: (_, caller) => this.#hub.subscribe(caller.signal),
    follow: (input, caller) => this.#follow(input.operation, caller.signal),
    operations: async () => this.#history,
    releases: async () => [this.#release('v1.0'), this.#release('v0.9')],
    release: async ({ tag }) => ({
      ...this.#release(tag),
      createdAt: ago(135 * minute),
      environmentKeys: ['DATABASE_URL', 'JWT_SECRET'],
      environmentSha256: 'f'.repeat(64),
      services: [{ name: 'backend', role: 'app', replicas: 2 }],
      schemaReadableFrom: 1,
      imageBytes: 300_000_000,
      ...(tag === 'v0.9' ? { approvals: halfApproved(tag) } : {}),
      history: [{ operation: 'deploy-1', kind: 'deploy', at: ago(134 * minute), result: 'done', actor: 'anna' }],
    }),
    diff: async ({ from, to }) => ({ from, to, changes: this.#plan('deploy', to).changes }),
    pin: async ({ tag, pinned }) => {
      if (pinned) this.#pinned.add(tag);
      else this.#pinned.delete(tag);
      return this.#release(tag);
    },
    plan: async ({ tag }) => this.#plan('deploy', known(tag)),
    planRestore: async ({ snapshot }) => this.#plan('restore', snapshot),
    backups: async () => (this.#options.recorded ? recordedBackups() : []),
    backupShow: async ({ snapshot }) => (this.#options.recorded ? recordedBackup(snapshot) : noBackups()),
    backupDrill: (input, caller) => this.#operate('backup-drill', input.snapshot, caller),
    backupNow: (_, caller) => this.#operate('backup', null, caller),
    backupVerify: async () => ({ verdict: 'inconclusive', checks: [] }),
    backupProtect: async ({ snapshot, protected: on }) => ({ id: snapshot, protected: on }),
    backupKey: async () => noBackups(),
    backupProve: async () => noBackups(),
    backupExport: async () => noBackups(),
    backupPrune: (_, caller) => this.#operate('backup-prune', null, caller),
    backupRecover: (_, caller) => this.#operate('recover', null, caller),
    backupRestore: ({ snapshot }, caller) => this.#operate('restore', snapshot, caller),
    approvals: async ({ tag }) => approvalsOf(tag),
    approve: async ({ tag }) => approvalsOf(tag),
    report: async ({ tag }) => {
      throw new ApplianceError('release_not_found', `there is no report of ${tag} on a stage`);
    },
    questions: async ({ tag }) => signOffOf(tag),
    signoff: async ({ tag }) => signOffOf(tag),
    planRollback: async ({ tag }) => this.#plan('rollback', tag ?? 'v0.9'),
    deploy: (input, caller) => this.#operate('deploy', input.tag, caller),
    pause: async () => this.#rollout(),
    resume: async () => this.#rollout(),
    promote: async () => this.#rollout(),
    abort: async () => ({ operation: this.#rollout().operation }),
    rollback: (input, caller) => this.#operate('rollback', input.tag ?? 'v0.9', caller),
    up: (_, caller) => this.#operate('up', null, caller),
    down: (input, caller) => this.#operate(input.volumes ? 'down with volumes' : 'down', null, caller),
    restart: (input, caller) => this.#operate('restart', input.service ?? null, caller),
    prune: (_, caller) => this.#operate('prune', null, caller),
    exec: async ({ service }) => ({ container: `container-of-${service}`, service }),
    alerts: async () =>
      this.#options.recorded ? recordedAlerts() : { alertmanager: null, onCall: null, alerts: [], silences: [] },
    alertsTest: async () => ({ verdict: 'inconclusive', checks: [] }),
    alertsDrill: ({ service }, caller) => this.#operate('drill', service ?? 'backend', caller),
    alertsSilence: async (input) => silenceOf(input.matchers.join(' ')),
    alertsUnsilence: async () => silenceOf('service="backend"'),
    alertsRaise: async () => [],
    alertsResolve: async () => [],
    alertsAck: async () => [],
    check: (input) => this.#check(input.groups),
    checkVerdicts: async () => (this.#options.recorded ? recordedChecks() : []),
    supportBundle: emptyBundle,
    bundleCreate: () => noBundles(),
    bundleLoad: () => noBundles(),
    doctor: diagnosis,
    doctorFix: diagnosis,
    models: async () => (this.#options.recorded ? recordedModels() : []),
    modelsShow: async ({ version }) => (this.#options.recorded ? recordedModel(version) : noModel()),
    modelsAdd: noModel,
    modelsVerify: async () => ({ verdict: 'inconclusive', checks: [] }),
    modelsRepair: async () => ({ setAside: null, imported: [], skipped: [] }),
    modelsHistory: async () => [],
    modelsDiff: noModel,
    modelsArchive: noModel,
    modelsImport: async () => ({ imported: [], skipped: [] }),
    modelsExport: noModel,
    modelsPromote: ({ version }, caller) => this.#operate('model-promote', version ?? '2026.1', caller),
    modelsRollback: ({ version }, caller) => this.#operate('model-rollback', version ?? '2026.1', caller),
    modelsRetrain: (_, caller) => this.#operate('model-retrain', null, caller),
    certs: async () => (this.#options.recorded ? recordedCertificates() : []),
    certsIssue: (input, caller) => this.#operate('certs-issue', input.set ?? null, caller),
    certsRenew: (input, caller) => this.#operate('certs-renew', input.set ?? null, caller),
    certsImport: (input, caller) => this.#operate('certs-import', input.set ?? null, caller),
    certsDryRun: (input, caller) => this.#operate('certs-dry-run', input.set ?? null, caller),
    modelsScan: async () => ({ verdict: 'inconclusive', observed: 'there is no file', hint: null, files: [] }),
    schedule: async () => (this.#options.recorded ? recordedJobs() : []),
    scheduleRun: ({ job }, caller) => this.#operate(job, null, caller),
    configShow: async () => ({ name: 'routing-ml' }),
    selfUpdate: async () => ({}),
    audit: async () =>
      this.#options.recorded
        ? recordedAudit()
        : [
            {
              seq: 1,
              time: ago(minute),
              actor: anna,
              action: 'deploy',
              target: 'v1.0',
              result: 'done',
              hash: 'ab'.repeat(32),
            },
          ],
    gateRefused: async () => ({ noted: true }),
    auditVerify: async () => ({
      verdict: 'fail',
      entries: 3,
      brokenAt: 2,
      archives: 0,
      problem: 'the chain is broken at entry 2',
      head: null,
    }),
  };

  #status(): Status {
    const { unwell } = this.#options;
    const hidden = 'the cache has exited with status 137';
    return {
      name: 'routing-ml',
      version: '0.0.1',
      release: this.#live,
      warm: { tag: this.#live.tag === 'v1.0' ? 'v0.9' : 'v1.0', colour: otherColour(this.#live.colour) },
      traffic: { blue: this.#live.colour === 'blue' ? 100 : 0, green: this.#live.colour === 'green' ? 100 : 0 },
      services: this.#services(),
      operation: this.#running,
      models: { active: null },
      backup: { lastSuccess: null, lastProvenRestore: null, nextRun: null },
      certificates: [],
      alerts: [],
      ...(this.#options.recorded ? { ...recordedStatus(), rollout: recordedRollout() } : {}),
      verdict: unwell ? 'fail' : 'pass',
      edge: { http: 'http://127.0.0.1:8080', https: 'https://127.0.0.1:8443', reachable: true },
      agent: { running: true, pid: process.pid, since: ago(5_000 * minute) },
      findings: unwell
        ? [
            {
              id: 'service-redis',
              verdict: 'fail',
              observed: hidden,
              expected: 'running',
              hint: 'appliance logs redis',
            },
          ]
        : [],
    };
  }

  #rollout(): Rollout {
    return this.#options.recorded ? recordedRollout() : noRollout();
  }

  #services(): ServiceStatus[] {
    const service = (name: string, colour: ServiceStatus['colour'], index: number): ServiceStatus => {
      const gone = name === 'redis' && this.#options.unwell === true;
      return {
        name,
        project: `routing-ml-${colour ?? 'core'}`,
        colour,
        state: gone ? 'exited' : 'running',
        health: gone ? null : 'healthy',
        image: `routing-ml/${name}:${this.#live.tag}`,
        imageId: 'sha256:1',
        cpuPercent: gone ? null : index + 0.5,
        memoryBytes: gone ? null : (50 + index) * 2 ** 20,
        restarts: gone ? 3 : 0,
        since: ago(130 * minute),
      };
    };
    return [
      ...appServices.map((name, index) => service(name, this.#live.colour, index)),
      ...coreServices.map((name, index) => service(name, null, index)),
      ...(this.#options.more ?? []).map((name, index) => service(name, 'blue', index)),
    ];
  }

  async *#check(groups: readonly string[]): AsyncGenerator<CheckEvent> {
    const checks = recordedChecks().filter(({ group }) => groups.includes(group));
    for (const check of checks) yield { event: 'check', check };
    const verdict = combine(checks.map((check) => check.verdict));
    const about = { policy: null, release: this.#live.tag, time: timestamp(Date.now()), seconds: 0.2 };
    yield { event: 'report', report: { verdict, checks, ...about } };
  }

  async *#stats(follow: boolean, signal: AbortSignal) {
    do {
      yield this.#services().map(({ name, colour, cpuPercent, memoryBytes }) => ({
        service: name,
        colour,
        cpuPercent,
        memoryBytes,
        memoryLimitBytes: null,
        rxBytes: 1_000,
        txBytes: 2_000,
        pids: 3,
      }));
      if (follow) await systemClock.sleep(100, signal).catch(() => undefined);
    } while (follow && !signal.aborted);
  }

  async *#logs(
    wish: { services: string[]; follow: boolean; tail?: number | undefined },
    signal: AbortSignal,
  ): AsyncGenerator<LogLine> {
    const names = [...appServices, ...coreServices];
    const unknown = wish.services.find((service) => !names.includes(service));
    if (unknown !== undefined) throw new ApplianceError('service_not_found', `there is no service ${unknown}`);
    const wanted = (line: LogLine) => wish.services.length === 0 || wish.services.includes(line.service);
    const { burst = 1, logPause } = this.#options;
    let due = performance.now();
    for (let number = 1; !signal.aborted; number += 1) {
      if (number > (wish.tail ?? 100)) {
        if (!wish.follow) return;
        if (number % burst === 0) {
          // By the clock: what was late is made up for, so that as many come as are promised.
          due += logPause;
          await systemClock.sleep(Math.max(0, due - performance.now()), signal).catch(() => undefined);
        }
      }
      const line = logLine(names, number);
      if (wanted(line)) yield line;
    }
  }

  #release(tag: string): ReleaseSummary {
    const live = tag === this.#live.tag;
    return {
      id: tag,
      tag: known(tag),
      commit: '0123456789abcdef0123456789abcdef01234567',
      state: live ? 'live' : 'warm',
      colour: live ? this.#live.colour : otherColour(this.#live.colour),
      deployedAt: ago(134 * minute),
      actor: 'anna',
      images: [{ service: 'backend', ref: `routing-ml/backend:${tag}`, digest: `sha256:${'1'.repeat(64)}` }],
      schema: 2,
      verdict: 'pass',
      pinned: this.#pinned.has(tag),
    };
  }

  #plan(kind: string, tag: string): Plan {
    return {
      kind,
      from: this.#live.tag,
      to: tag,
      strategy: 'blue-green',
      colour: otherColour(this.#live.colour),
      steps: steps.map(({ name, title }) => ({ action: name, title, cause: 'it is a play', seconds: 1.5 })),
      changes: [
        { area: 'image', name: 'backend', kind: 'changed', from: 'sha256:11', to: 'sha256:22' },
        { area: 'environment', name: 'LOG_LEVEL', kind: 'added', from: null, to: 'INFO' },
      ],
      notes: ['two copies need 1.2 GiB of memory'],
      predictedSeconds: 6,
      predictedDowntimeSeconds: 0,
    };
  }

  async *#follow(id: string, signal: AbortSignal): AsyncGenerator<ApplianceEvent> {
    if (this.#running?.id !== id) throw new ApplianceError('operation_not_found', `there is no operation ${id}`);
    const events = this.#hub.subscribe(signal);
    yield* this.#told;
    yield* this.#eventsOf(id, events);
  }

  async *#operate(kind: string, target: string | null, caller: Caller): AsyncGenerator<ApplianceEvent> {
    if (target !== null && kind === 'deploy') known(target);
    if (this.#running) {
      throw new ApplianceError('busy', `${this.#running.kind} is running, begun by ${this.#running.actor.user}`, {
        left: 'it goes on; nothing was touched',
        hint: 'wait for it with --wait 5m',
      });
    }
    const id = `${kind.split(' ')[0]}-${this.#history.length + 1}`;
    const events = this.#hub.subscribe(caller.signal);
    void this.#play(id, kind, target, caller.actor);
    yield* this.#eventsOf(id, events);
  }

  async *#eventsOf(id: string, events: AsyncGenerator<ApplianceEvent>): AsyncGenerator<ApplianceEvent> {
    for await (const event of events) {
      if (event.event === 'status' || event.operation !== id) continue;
      yield event;
      if (event.event === 'operation-ended') return;
    }
  }

  /** One operation from its beginning to its end; `v1.2-broken` never becomes healthy and is taken back. */
  async #play(id: string, kind: string, target: string | null, actor: Actor): Promise<void> {
    const started = Date.now();
    const from = this.#live.tag;
    this.#told = [];
    const publish = (event: ApplianceEvent) => {
      this.#told.push(event);
      this.#hub.publish(event);
    };
    const now = () => timestamp(Date.now());
    const about = { operation: id };
    this.#running = { id, kind, step: 'preflight', progress: 0, actor, startedAt: now() };
    publish({ event: 'operation-started', time: now(), ...about, kind, target, actor, steps: [] });
    publish({ event: 'planned', time: now(), ...about, steps: [...steps] });
    let broken = false;
    for (const [index, step] of steps.entries()) {
      const report = (state: Extract<ApplianceEvent, { event: 'step' }>['state'], detail: string) =>
        publish({ event: 'step', time: now(), ...about, index, ...step, state, seconds: 0.1, detail });
      report('running', '');
      publish({ event: 'progress', time: now(), ...about, index, text: `${step.name} half way` });
      await systemClock.sleep(this.#options.stepTime);
      broken = target === 'v1.2-broken' && step.name === 'wait-healthy';
      report(broken ? 'failed' : 'done', broken ? 'backend-1 answered 503' : '');
      this.#running = { ...this.#running, step: step.name, progress: Math.round((100 * (index + 1)) / steps.length) };
      if (broken) {
        report('undoing', '');
        report('undone', 'as it was');
        break;
      }
      if (step.name === 'shift' && (kind === 'deploy' || kind === 'rollback') && target !== null) {
        this.#live = { tag: target, colour: otherColour(this.#live.colour), since: now() };
      }
      publish({ event: 'status', time: now() });
    }
    const seconds = (Date.now() - started) / 1_000;
    const result: OperationResult = {
      operation: id,
      kind,
      from,
      to: target,
      result: broken ? 'rolled_back' : 'done',
      startedAt: new Date(started).toISOString(),
      actor: anna.user,
      seconds,
      shiftSeconds: broken || target === null ? null : seconds,
      steps: [],
      verdicts: [],
      ...(broken
        ? {
            error: {
              code: 'unhealthy',
              message: 'backend-1 did not become healthy: 503',
              left: `${from} goes on serving`,
              hint: 'appliance logs backend-1',
              exit: 1,
            },
          }
        : {}),
    };
    this.#history.unshift(result);
    this.#running = null;
    publish({ event: 'operation-ended', time: now(), ...about, kind, result });
  }
}

const anna: Actor = { uid: 1_000, user: 'anna', ssh: '192.0.2.7' };

function known(tag: string): string {
  if (tag !== 'nope') return tag;
  throw new ApplianceError('tag_not_found', 'the repository has no tag nope', { hint: 'did you mean v1.0?' });
}

/** Some lines are long, some go to stderr, some carry what a terminal must never be sent. */
function logLine(names: readonly string[], number: number): LogLine {
  const service = names[number % names.length] ?? 'edge';
  const hostile = number % 10 === 0;
  return {
    time: timestamp(1_700_000_000_000 + number),
    service,
    colour: appServices.includes(service) ? 'blue' : null,
    stream: number % 5 === 0 ? 'stderr' : 'stdout',
    text: hostile
      ? `ERROR ${number} \u001b]0;stolen title\u0007\u001b[2J${'a long line '.repeat(20)}`
      : `INFO request ${number} GET /predict 200 \u001b[32mok\u001b[0m`,
  };
}

/** What a running agent answers while no rollout runs. */
function noBundles(): never {
  throw new ApplianceError('release_not_found', 'the stage has no release that could be bundled');
}

function noBackups(): never {
  throw new ApplianceError('backup_not_found', 'the stage has no repository of backups');
}

function noRollout(): never {
  throw new ApplianceError('rollout_not_found', 'no rollout is running', { left: 'nothing was touched' });
}

function silenceOf(matchers: string) {
  return { id: '6f2c', matchers, by: 'anna', comment: '', until: ago(-minute) };
}

async function noModel(): Promise<never> {
  throw new ApplianceError('model_not_found', 'no model version is registered', { hint: 'appliance models list' });
}

function approvalsOf(release: string): Approvals {
  const digest = `sha256:${'d'.repeat(64)}`;
  return { release, digest, commit: 'c'.repeat(40), policies: [], verdict: 'pass', approvals: [], history: [] };
}

function halfApproved(release: string): Approvals {
  const given = { time: ago(140 * minute), user: 'anna', uid: 1_000, account: 'anna', ssh: null, comment: null };
  const role = { requirement: 'S4-23', holders: null, given };
  const approvals = [
    { ...role, role: 'tech-lead', title: 'technical lead' },
    { ...role, role: 'security', title: 'security', holders: ['bert'], given: null },
  ];
  return { ...approvalsOf(release), verdict: 'inconclusive', approvals };
}

function signOffOf(release: string): SignOffView {
  return {
    release,
    digest: `sha256:${'d'.repeat(64)}`,
    policies: [],
    deployed: { time: ago(134 * minute), user: 'anna' },
    questions: [],
    signOff: { requirement: null, by: 'anybody', decision: null },
    verdict: 'inconclusive',
  };
}
