import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Engine } from '../../host/docker.ts';
import { fileSystemUse } from '../../host/machine.ts';
import type { Clock } from '../../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../../lib/errors.ts';
import { formatBytes, formatDuration } from '../../lib/units.ts';
import { combine, type Finding } from '../../lib/verdict.ts';
import { defineStep, type StepContext } from '../../operations/step.ts';
import { type DeclaredService, drillCommands } from './drill-commands.ts';
import { type DrilledService, drillDatabases } from './drill-database.ts';
import { partsFindings, sqliteFinding } from './drill-files.ts';
import { type DrillDepth, type DrillReport, drillDepths } from './drill-report.ts';
import { type BackupManifest, parseManifest } from './manifest.ts';

/** What a drill needs of a snapshot that is about to be proven. */
interface DrilledSnapshot {
  readonly id: string;
  readonly resticId: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly bytes: number | null;
}

export interface DrillDeps {
  readonly engine: Engine;
  readonly clock: Clock;
  /** Name of the appliance. */
  readonly name: string;
  /** Directory that is filled and thrown away. */
  readonly scratch: string;
  readonly limits: { readonly memory: number; readonly processors: number; readonly timeout: number };
  readonly repository: {
    /** @throws ApplianceError `backup_not_found` */
    find(id: string, signal: AbortSignal): Promise<DrilledSnapshot>;
    restore(wish: {
      readonly resticId: string;
      readonly include: readonly string[];
      readonly target: string;
      readonly signal: AbortSignal;
      readonly progress: (text: string) => void;
    }): Promise<void>;
    /** Reads every byte of the repository back. */
    check(signal: AbortSignal): Promise<Finding>;
    markProven(
      id: string,
      proof: { readonly time: number; readonly seconds: number },
      signal: AbortSignal,
    ): Promise<void>;
  };
  /** Services of PostgreSQL as they are today, running or not. */
  readonly services: () => Promise<readonly DrilledService[]>;
  /** Services with commands of their own, running or not. */
  readonly declared: () => Promise<readonly DeclaredService[]>;
  readonly models: {
    /** Why the files of a version are not what its manifest says; null when they are. All bytes are read. */
    wrong(directory: string, sha256: string, signal: AbortSignal): Promise<string | null>;
    /** Loads a model where the application's own image is and nothing else; a text says why that cannot be tried. */
    load(
      directory: string,
      about: { name: string; version: string } | null,
      signal: AbortSignal,
    ): Promise<Finding | string>;
  };
  /** Keeps what was found, and tells whoever wants to know. */
  readonly keep: (report: DrillReport) => void;
}

/** By this label, whose value is the name of the appliance, whatever a drill has started is found. */
export const drillLabel = 'appliance.drill';

const argsSchema = z.object({
  /** Id of the snapshot, or `latest`. */
  id: z.string(),
  depth: z.enum(drillDepths),
});

/**
 * Restores a snapshot into throw-away containers without network and looks at what comes out (S4-1, S4-53): databases by
 * pg_restore with their rows, SQLite, every model by its hashes, one model loaded (all of them in depth).
 */
export function drillSnapshot(deps: DrillDeps) {
  return defineStep({
    action: 'drill-snapshot',
    args: argsSchema,
    apply: ({ id, depth }, context) => drill(deps, id, depth, context),
    // What cannot be removed now, as without an engine, is removed by the next drill and at the next start.
    undo: () => throwAway(deps).catch(() => undefined),
  });
}

/** Removes what a drill has left, also one whose process was killed. Only the one writer may call it. */
export async function throwAway({
  engine,
  name,
  scratch,
}: Pick<DrillDeps, 'engine' | 'name' | 'scratch'>): Promise<void> {
  await rm(scratch, { recursive: true, force: true });
  for (const { id } of await engine.containers([`${drillLabel}=${name}`])) await engine.remove(id);
}

async function drill(deps: DrillDeps, wanted: string, depth: DrillDepth, context: StepContext): Promise<string> {
  const { clock } = deps;
  const began = clock.monotonic();
  let snapshot: DrilledSnapshot | undefined;
  let found: Found;
  try {
    await throwAway(deps);
    snapshot = await deps.repository.find(wanted, context.signal);
    found = await prove(deps, snapshot, depth, context);
  } catch (thrown) {
    context.signal.throwIfAborted();
    const error = asApplianceError(thrown);
    // Without a snapshot there is nothing that could be told of.
    if (error.code === 'backup_not_found') throw error;
    found = { findings: [unfinished(error)], untested: [] };
  } finally {
    await throwAway(deps).catch(() => undefined);
  }
  const verdict = combine(found.findings.map((finding) => finding.verdict));
  const report: DrillReport = {
    snapshot: snapshot?.id ?? wanted,
    depth,
    operation: context.operation,
    at: clock.now(),
    verdict,
    seconds: found.seconds ?? (clock.monotonic() - began) / 1_000,
    ageSeconds: snapshot ? Math.max(0, (clock.now() - snapshot.time) / 1_000) : 0,
    findings: found.findings.map((finding) => ({ ...finding })),
    untested: found.untested,
  };
  deps.keep(report);
  if (verdict !== 'pass' || !snapshot) throw refused(report);
  await deps.repository.markProven(snapshot.id, { time: report.at, seconds: report.seconds }, context.signal);
  return summaryOf(report);
}

interface Found {
  readonly findings: Finding[];
  readonly untested: string[];
  /** What the restore itself took. */
  readonly seconds?: number;
}

async function prove(
  deps: DrillDeps,
  snapshot: DrilledSnapshot,
  depth: DrillDepth,
  context: StepContext,
): Promise<Found> {
  const { clock, scratch, repository } = deps;
  const { signal } = context;
  const progress = (text: string): void => context.progress(text);
  const began = clock.monotonic();
  await makeRoom(scratch, snapshot.bytes ?? 0);
  await repository.restore({
    resticId: snapshot.resticId,
    include: ['/snapshot', '/models'],
    target: scratch,
    signal,
    progress: (text) => progress(`restoring: ${text}`),
  });
  const directory = join(scratch, 'snapshot');
  const manifest = parseManifest(await readFile(join(directory, 'manifest.json'), 'utf8'));
  progress('comparing hashes');
  const findings = await partsFindings(manifest, directory, signal);
  for (const component of manifest.components)
    if (component.name === 'registry' || component.name === 'state')
      findings.push(sqliteFinding(component, directory, manifest.models));
  const untested: string[] = [];
  findings.push(...(await databases(deps, manifest, directory, context, untested)));
  findings.push(...(await modelHashes(deps, manifest, join(scratch, 'models'), context)));
  const seconds = (clock.monotonic() - began) / 1_000;
  findings.push(...(await modelLoads(deps, manifest, join(scratch, 'models'), depth, context, untested)));
  if (depth === 'deep') {
    progress('reading all of the repository');
    findings.push(await repository.check(signal));
  }
  return { findings, untested, seconds };
}

async function databases(
  deps: DrillDeps,
  { components }: BackupManifest,
  directory: string,
  context: StepContext,
  untested: string[],
): Promise<Finding[]> {
  const dumps = components.filter(({ name }) => name.startsWith('database:'));
  const services = new Map((await deps.services()).map((service) => [service.service, service]));
  const declared = new Map((await deps.declared()).map((service) => [service.service, service]));
  const server = { ...deps, labels: { [drillLabel]: deps.name }, ...deps.limits };
  const findings: Finding[] = [];
  for (const service of new Set(dumps.map(serviceOf))) {
    const known = services.get(service);
    const own = dumps.filter((dump) => serviceOf(dump) === service);
    const [byCommand] = own.filter(({ path }) => !path.endsWith('.dump'));
    const commands = declared.get(service);
    if (byCommand) {
      const found = commands
        ? await drillCommands(commands, byCommand, join(directory, byCommand.path), server, context)
        : `${service}: it has no restore command any more`;
      if (typeof found === 'string') untested.push(found);
      else findings.push(found);
    } else if (!known || !(await deps.engine.image(known.image))) {
      const observed = known
        ? `the image ${known.image} is not on this host`
        : `there is no service ${service} any more`;
      const hint = 'appliance up brings it back; then: appliance backup drill';
      findings.push({ id: `drill-${service}`, verdict: 'inconclusive', observed, expected: 'a fresh server', hint });
    } else {
      findings.push(...(await drillDatabases(known, own, directory, server, context)));
    }
  }
  return findings;
}

const serviceOf = ({ name }: { name: string }): string => name.replace(/^database:/, '').split('/')[0] ?? '';

async function modelHashes(
  { models }: DrillDeps,
  manifest: BackupManifest,
  directory: string,
  { signal, progress }: StepContext,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { name, version, sha256 } of manifest.models) {
    progress(`hashing ${name}@${version}`);
    const wrong = await models.wrong(versionIn(directory, name, version), sha256, signal);
    if (wrong !== null)
      findings.push({
        id: `drill-model-${name}@${version}`,
        verdict: 'fail',
        observed: wrong,
        expected: 'the bytes that were registered',
      });
  }
  if (findings.length > 0 || manifest.models.length === 0) return findings;
  const count = manifest.models.length;
  return [{ id: 'drill-models', verdict: 'pass', observed: `${count} versions have their hashes`, samples: count }];
}

async function modelLoads(
  { models }: DrillDeps,
  { models: all, modelInForce, components }: BackupManifest,
  directory: string,
  depth: DrillDepth,
  { signal, progress }: StepContext,
  untested: string[],
): Promise<Finding[]> {
  const serving = modelInForce ?? all.at(-1);
  const chosen = depth === 'deep' ? all : serving ? [serving] : [];
  const flat = chosen.length === 0 && components.some(({ name }) => name === 'models');
  const findings: Finding[] = [];
  for (const one of flat ? [null] : chosen) {
    progress(`loading ${one ? `${one.name}@${one.version}` : 'the model'}`);
    const found = await models.load(one ? versionIn(directory, one.name, one.version) : directory, one, signal);
    if (typeof found !== 'string') findings.push(found);
    else if (!untested.includes(found)) untested.push(found);
  }
  return findings;
}

const versionIn = (directory: string, name: string, version: string): string =>
  join(directory, 'versions', name, version);

/** @throws ApplianceError `not_measured` when the snapshot would not fit twice: as files, and as a database */
async function makeRoom(scratch: string, bytes: number): Promise<void> {
  await mkdir(scratch, { recursive: true, mode: 0o700 });
  const { free } = await fileSystemUse(scratch);
  const needed = 2 * bytes;
  if (free >= needed) return;
  throw new ApplianceError('not_measured', `a restore needs ${formatBytes(needed)}, ${formatBytes(free)} are free`, {
    hint: `make room below ${scratch}; then: appliance backup drill`,
  });
}

/** Errors that say something about the host; all others say that the snapshot cannot be restored. */
const ofTheHost: ReadonlySet<string> = new Set([
  ...['engine_unreachable', 'not_measured', 'disk_full', 'timeout', 'backup_locked', 'backup_target', 'backup_key'],
  'interrupted',
]);

function unfinished(error: ApplianceError): Finding {
  const missing = /image .* is not on this host/.test(error.message);
  return {
    id: 'drill-restore',
    verdict: missing || ofTheHost.has(error.code) ? 'inconclusive' : 'fail',
    observed: error.message,
    expected: 'the snapshot can be restored',
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  };
}

/** One line for people. */
export function summaryOf({ snapshot, verdict, seconds, ageSeconds, findings, untested }: DrillReport): string {
  const bad = findings.filter((finding) => finding.verdict === verdict);
  const took = formatDuration(Math.round(seconds * 1_000));
  const old = formatDuration(Math.round(ageSeconds) * 1_000);
  if (verdict === 'pass') {
    const rest = untested.length > 0 ? `; not tested: ${untested.join('; ')}` : '';
    return `${snapshot} was restored in ${took} and is whole; it was ${old} old${rest}`;
  }
  return `${snapshot}: ${bad
    .map(({ id, observed }) => `${id.replace(/^drill-/, '')}: ${observed}`)
    .join('; ')
    .slice(0, 600)}`;
}

function refused(report: DrillReport): ApplianceError {
  const fail = report.verdict === 'fail';
  return new ApplianceError(fail ? 'verdict_fail' : 'verdict_inconclusive', summaryOf(report), {
    left: 'nothing of the running appliance was touched; no snapshot was removed',
    hint:
      report.findings.find(({ verdict, hint }) => verdict === report.verdict && hint !== undefined)?.hint ??
      (fail
        ? 'make a new one and prove it: appliance backup now, then appliance backup drill'
        : 'try again: appliance backup drill'),
  });
}
