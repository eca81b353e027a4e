import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { arch, hostname, release as kernel, uptime } from 'node:os';
import { join } from 'node:path';
import type { Caller, Handlers } from '../../api/handlers.ts';
import type { ParsedInput } from '../../api/routes.ts';
import type { SupportEvent } from '../../api/support.ts';
import { type BundlePart, packBundle } from '../../capabilities/doctor/bundle.ts';
import { edgeFiles } from '../../capabilities/traffic/files.ts';
import { effective, readEnvironment } from '../../config/index.ts';
import type { Config } from '../../config/schema.ts';
import { composeHands } from '../../host/compose.ts';
import { Engine } from '../../host/docker.ts';
import { readIfPresent } from '../../host/files.ts';
import { run } from '../../host/process.ts';
import { Prometheus } from '../../host/prometheus.ts';
import { type Clock, timestamp } from '../../lib/clock.ts';
import { ApplianceError } from '../../lib/errors.ts';
import type { Paths } from '../../lib/paths.ts';
import type { Appliance } from '../appliance.ts';
import { serviceName } from '../containers.ts';
import { version } from '../version.ts';
import { secretsOf } from './known-secrets.ts';

const kilobyte = 1024;
const megabyte = 1024 * kilobyte;
/** Milliseconds for what is a file or a record, and for what somebody must be asked for. */
const quick = 3_000;
const slow = 8_500;
/** Lines of each container's log. */
const logTail = 2_000;
/** Containers whose logs are packed. */
const mostLogs = 40;

/** What the bundle is about. */
interface Subject {
  readonly paths: Paths;
  readonly clock: Clock;
  readonly config: Config | undefined;
  readonly by: 'agent' | 'in-process';
  readonly notes: readonly string[];
}

/** `support-bundle` of an appliance that can be opened. */
export function supportHandlers(
  a: Appliance,
  host: { readonly agent: { readonly running: boolean } },
  handlers: () => Handlers,
): Pick<Handlers, 'supportBundle'> {
  return {
    supportBundle: async function* (input, caller) {
      // Logs and the audit of everybody are more than a mere look.
      if (caller.access === 'viewer')
        throw new ApplianceError('not_permitted', 'viewers may not make a support bundle', {
          left: 'nothing was written',
          hint: 'ask an operator',
        });
      const { paths, clock, config } = a;
      const by = host.agent.running ? 'agent' : 'in-process';
      const notes = input.agentProblem === null ? [] : [`an agent runs and does not answer: ${input.agentProblem}`];
      const subject = { paths, clock, config, by, notes } as const;
      const [records, logs] = [applianceParts(a, handlers(), caller), logParts(a)];
      // What takes longest begins first.
      const parts = [...(await records), ...hostParts(subject), ...(await logs)];
      yield* bundle(subject, parts, caller.signal);
    },
  };
}

/** `support-bundle` of one that cannot: files, host and engine are there all the same. */
export function bareSupport(
  paths: Paths,
  clock: Clock,
  why: ApplianceError,
  doctor: Pick<Handlers, 'doctor'>,
): Pick<Handlers, 'supportBundle'> {
  return {
    supportBundle: (input, caller) => {
      const subject = {
        paths,
        clock,
        config: undefined,
        by: 'in-process',
        notes: [`the appliance cannot be opened: ${why.message}`],
      } as const;
      return bundle(subject, [...hostParts(subject), diagnosisPart(doctor, input, caller)], caller.signal);
    },
  };
}

async function* bundle(
  subject: Subject,
  parts: readonly BundlePart[],
  signal: AbortSignal,
): AsyncGenerator<SupportEvent> {
  const { paths, config, clock } = subject;
  const { forms, problems } = await secretsOf(paths, config);
  const notes = [...subject.notes, ...problems];
  const told: SupportEvent[] = [];
  const packing = packBundle(parts, {
    forms,
    clock,
    time: timestamp(clock.now()),
    notes,
    signal,
    onPart: ({ path, missing }) => {
      if (missing !== null) told.push({ event: 'progress', text: `${path}: ${missing}` });
    },
  });
  for (;;) {
    const { done, value } = await packing.next();
    yield* told.splice(0);
    if (done) {
      const files = value.files.map((file) => ({ ...file }));
      yield { event: 'report', report: { ...value, files, notes: [...value.notes] } };
      return;
    }
    yield { event: 'piece', data: value.toString('base64') };
  }
}

/** What can be packed of any host. */
function hostParts({ paths, clock, config, by }: Subject): BundlePart[] {
  const edge = edgeFiles(paths);
  const engine = new Engine();
  return [
    json('about.json', quick, async () => ({
      version,
      name: config?.name ?? null,
      by,
      time: timestamp(clock.now()),
      node: process.version,
      architecture: arch(),
      kernel: kernel(),
      host: hostname(),
      uptimeSeconds: Math.round(uptime()),
      root: paths.root ?? null,
    })),
    json('engine.json', slow, async () => engine.about()),
    json('compose.json', slow, async () => composeHands.version()),
    { ...text('host/disk.txt', 64 * kilobyte, () => output('df', ['-PTh'])), patience: quick },
    { ...text('host/inodes.txt', 64 * kilobyte, () => output('df', ['-Pi'])), patience: quick },
    text('host/memory.txt', 64 * kilobyte, async () => (await readIfPresent('/proc/meminfo')) ?? 'not known\n'),
    text('host/system.txt', 64 * kilobyte, async () => (await readIfPresent('/etc/os-release')) ?? 'not known\n'),
    text('host/load.txt', 64 * kilobyte, async () => (await readIfPresent('/proc/loadavg')) ?? 'not known\n'),
    file('config/appliance.yaml', paths.config, 512 * kilobyte),
    file('agent/agent.log', join(paths.log, 'agent.log'), 2 * megabyte),
    file('edge/nginx.conf', edge.conf, megabyte),
    file('edge/weights.json', edge.weights, 64 * kilobyte),
    file('edge/releases.json', edge.releases, 64 * kilobyte),
    file('edge/error.log', edge.errorLog, megabyte),
    file('edge/access.log', edge.accessLog, megabyte),
  ];
}

/** What an appliance knows of itself. */
async function applianceParts(a: Appliance, handlers: Handlers, caller: Caller): Promise<BundlePart[]> {
  const { config, paths } = a;
  return [
    diagnosisPart(handlers, { agentProblem: null }, caller),
    json('status.json', slow, () => handlers.status({}, caller)),
    json('operations.json', quick, () => handlers.operations({}, caller)),
    json('releases.json', slow, () => handlers.releases({}, caller)),
    json('schedule.json', quick, () => handlers.schedule({}, caller)),
    json('checks.json', quick, () => handlers.checkVerdicts({}, caller)),
    json('alerts.json', slow, () => handlers.alerts({}, caller)),
    json('certificates.json', slow, () => handlers.certs({}, caller)),
    json('backups.json', quick, async () => ({ recent: a.backups.recent(50), targets: a.backups.targets() })),
    json('audit.json', quick, async () => ({ chain: a.audit.verify(), entries: a.audit.entries(undefined, 500) })),
    json('config/effective.json', quick, async () => effective(config)),
    json('config/environment.json', quick, async () => environmentOf(config)),
    json('metrics/prometheus.json', slow, async () => prometheusOf(config, caller.signal)),
    ...(await metricFiles(join(paths.monitoring, 'textfile'))),
    json('engine/containers.json', slow, async () => {
      await a.watch.refresh();
      if (a.watch.problem) throw a.watch.problem;
      return a.watch.details();
    }),
  ];
}

function diagnosisPart(
  handlers: Pick<Handlers, 'doctor'>,
  { agentProblem }: ParsedInput<'supportBundle'>,
  caller: Caller,
): BundlePart {
  return json('doctor.json', slow + 1_000, async () => {
    for await (const event of handlers.doctor({ agentProblem }, caller))
      if (event.event === 'report') return event.report;
    throw new Error('it came to no end');
  });
}

/** The log of each container; a container is named as `status` names it, with its colour. */
async function logParts(a: Appliance): Promise<BundlePart[]> {
  const late = AbortSignal.timeout(quick);
  const refreshed = new Promise<void>((resolve, reject) => {
    late.addEventListener('abort', () => reject(late.reason), { once: true });
    a.watch.refresh().then(resolve, reject);
  });
  try {
    await refreshed;
  } catch {
    // The part `engine/containers.json` says why.
  }
  if (a.watch.problem) return [failed('logs/containers', a.watch.problem)];
  return a.watch
    .details()
    .slice(0, mostLogs)
    .map((container) => {
      const colour = container.labels['appliance.colour'];
      return {
        path: `logs/${serviceName(container)}${colour === undefined ? '' : `-${colour}`}.log`.replace(/[^\w./-]/g, '_'),
        most: 512 * kilobyte,
        patience: slow,
        text: async function* (signal: AbortSignal) {
          for await (const chunk of a.engine.logs(container, { follow: false, tail: logTail, signal }))
            yield chunk.text;
        },
      };
    });
}

function failed(path: string, error: Error): BundlePart {
  return text(path, kilobyte, async () => {
    throw error;
  });
}

/** Names of the keys alone, and whether they have a value. */
async function environmentOf({ source }: Config): Promise<Readonly<Record<string, string>>> {
  const { values } = await readEnvironment(source.envFile);
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, value === '' ? 'empty' : 'set']));
}

async function prometheusOf({ monitoring }: Config, signal: AbortSignal): Promise<unknown> {
  if (!monitoring) throw new Error('appliance.yaml has no section monitoring');
  const prometheus = new Prometheus(`http://${monitoring.prometheus.listen}`);
  const asked = ['up', 'ALERTS', 'appliance_release_info', 'appliance_check_verdict'];
  return Object.fromEntries(
    await Promise.all(asked.map(async (name) => [name, await prometheus.query(name, { signal })])),
  );
}

async function metricFiles(directory: string): Promise<BundlePart[]> {
  const names = await readdir(directory).catch(() => []);
  return names
    .filter((name) => name.endsWith('.prom'))
    .map((name) => file(`metrics/${name}`, join(directory, name), 2 * megabyte));
}

async function output(command: string, args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await run(command, args, { timeout: quick, ownGroup: true, maxOutput: megabyte });
  return `${stdout}\n${stderr}`;
}

function text(path: string, most: number, read: () => Promise<string>): BundlePart {
  return { path, most, patience: quick, text: read };
}

function json(path: string, patience: number, read: () => Promise<unknown>): BundlePart {
  return { path, most: 4 * megabyte, patience, text: async () => `${JSON.stringify(await read(), null, 1)}\n` };
}

/** The end of a file: what came last is what went wrong. */
function file(path: string, from: string, most: number): BundlePart {
  return {
    path,
    most,
    patience: quick,
    text: async function* (signal) {
      const { size } = await stat(from);
      // Redacted text may be longer than what it stands for.
      const start = Math.max(0, size - Math.floor(most * 0.9));
      let first = start > 0;
      for await (const piece of createReadStream(from, { start, encoding: 'utf8', signal })) {
        const whole = String(piece);
        // The first line was cut: what is left of it cannot be told apart from a part of a secret.
        const at = first ? whole.indexOf('\n') : -1;
        if (first && at < 0) continue;
        first = false;
        yield at < 0 ? whole : whole.slice(at + 1);
      }
    },
  };
}
