import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Backup } from '../api/backups.ts';
import type { Handlers } from '../api/handlers.ts';
import { exportSnapshot } from '../capabilities/backups/export.ts';
import { typedKey } from '../capabilities/backups/key.ts';
import type { BackupManifest } from '../capabilities/backups/manifest.ts';
import { recoverySheet } from '../capabilities/backups/recovery-sheet.ts';
import { retention } from '../capabilities/backups/retention.ts';
import { findSnapshot, type Snapshot } from '../capabilities/backups/snapshots.ts';
import { verifySnapshot } from '../capabilities/backups/verify.ts';
import { timestamp } from '../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../lib/errors.ts';
import { combine, type Finding } from '../lib/verdict.ts';
import type { Actor } from '../operations/journal.ts';
import type { Appliance } from './appliance.ts';
import type { Prepared } from './operations.ts';

type Routes =
  | 'backups'
  | 'backupShow'
  | 'backupNow'
  | 'backupDrill'
  | 'backupVerify'
  | 'backupProtect'
  | 'backupKey'
  | 'backupProve'
  | 'backupExport'
  | 'backupPrune';

type Operate = (
  kind: string,
  input: { readonly wait: number },
  caller: Parameters<Handlers['deploy']>[1],
  prepare: Parameters<Appliance['operations']['start']>[1],
) => ReturnType<Handlers['deploy']>;

/** Answers what is asked about backups. */
export function backupHandlers(a: Appliance, operate: Operate): Pick<Handlers, Routes> {
  const { backups, config, clock, engine } = a;
  const note = (actor: Actor, action: string, target: string | null, result: string) =>
    a.audit.append(timestamp(clock.now()), actor, action, target, result);
  const shown = async (snapshots: readonly Snapshot[], signal: AbortSignal): Promise<Backup[]> => {
    const kept = retention(snapshots, config.backups.keep, clock.now());
    const manifests = await backups.manifestsOf(snapshots, signal);
    return kept.map(({ snapshot, reasons }) => shapeOf(snapshot, reasons, manifests.get(snapshot.id)));
  };

  return {
    backups: async (_, { signal }) => shown(await backups.list(signal), signal),
    backupShow: async ({ snapshot: wanted }, { signal }) => {
      const snapshots = await backups.list(signal);
      const snapshot = findSnapshot(snapshots, wanted);
      const manifest = await backups.manifestOf(snapshot, signal);
      const kept = retention(snapshots, config.backups.keep, clock.now()).find((one) => one.snapshot === snapshot);
      return {
        ...shapeOf(snapshot, kept?.reasons ?? [], manifest),
        release: manifest.release && { tag: manifest.release.tag, id: manifest.release.id },
        components: manifest.components.map(({ rows, serverVersion, ...rest }) => ({
          ...rest,
          rows: rows ?? null,
          serverVersion: serverVersion ?? null,
        })),
        models: manifest.models,
        findings: [...(backups.records.get(snapshot.id)?.findings ?? [])],
        drills: a.drills.reports
          .of(snapshot.id)
          .map(({ at, depth, verdict, seconds, ageSeconds, findings, untested }) => ({
            time: timestamp(at),
            depth,
            verdict,
            seconds,
            ageSeconds,
            findings,
            untested,
          })),
      };
    },
    backupNow: (input, caller) =>
      operate('backup', input, caller, async (): Promise<Prepared> => {
        const { protect, acceptMissing } = input;
        const { id, steps } = backups.plan({ kind: 'manual', protect, acceptMissing, offsite: true });
        return { kind: 'backup', target: id, origin: null, phases: [async () => steps] };
      }),
    backupPrune: (input, caller) =>
      operate('backup-prune', input, caller, async (): Promise<Prepared> => {
        const steps = backups.planForget(null, false);
        return { kind: 'backup-prune', target: null, origin: null, phases: [async () => steps] };
      }),
    backupDrill: (input, caller) =>
      operate('backup-drill', input, caller, async (): Promise<Prepared> => {
        const { id } = findSnapshot(await backups.list(caller.signal), input.snapshot);
        const steps = a.drills.plan(id, input.deep ? 'deep' : 'usual');
        return { kind: 'backup-drill', target: id, origin: null, phases: [async () => steps] };
      }),
    backupVerify: async ({ snapshot: wanted, wait }, { actor, signal: outer }) => {
      const work = async (signal: AbortSignal): Promise<Finding[]> => {
        if (wanted === undefined) return [await wholeRepository(a, signal)];
        return verifySnapshot(backups.local, findSnapshot(await backups.list(signal), wanted), signal);
      };
      const checks = await a.operations.alone({ kind: 'backup verify', wait, actor }, work, outer);
      const verdict = combine(checks.map((check) => check.verdict));
      note(actor, 'backup verify', wanted ?? null, verdict);
      return { verdict, checks };
    },
    backupProtect: async ({ snapshot, protected: on, wait }, { actor, signal: outer }) => {
      const kind = on ? 'backup protect' : 'backup unprotect';
      const work = async (signal: AbortSignal): Promise<string> => {
        const { id } = findSnapshot(await backups.list(signal), snapshot);
        await backups.protect(id, on, signal);
        return id;
      };
      const id = await a.operations.alone({ kind, wait, actor }, work, outer);
      note(actor, kind, id, 'done');
      return { id, protected: on };
    },
    backupKey: async (_, { actor }) => {
      await backups.ensureKey();
      const before = await backups.key.shown();
      const key = before === undefined ? await backups.key.read() : null;
      const time = timestamp(clock.now());
      const offsite = backups.offsite.map(({ target }) => target);
      const sheet = recoverySheet({ name: config.name, repository: backups.paths.repository, offsite, key, time });
      if (key !== null) {
        await backups.key.markShown(time);
        note(actor, 'backup key', null, 'shown');
      }
      return { key, shown: before ?? null, path: backups.key.path, sheet };
    },
    backupProve: async ({ key }, { actor, signal }) => {
      if (!(await backups.local.exists(signal)))
        throw new ApplianceError('backup_not_found', 'there is no repository yet that a key could open', {
          left: 'nothing was touched',
          hint: 'the first backup makes it: appliance backup now',
        });
      const opens = await backups.local.opens(typedKey(key), signal);
      note(actor, 'backup key', null, opens ? 'a typed key opens the repository' : 'a typed key does not open it');
      return { opens };
    },
    backupExport: async ({ snapshot: wanted, directory: named }, { actor, signal }) => {
      const snapshot = findSnapshot(await backups.list(signal), wanted);
      const manifest = await backups.manifestOf(snapshot, signal);
      const directory = named ?? (await ownExport(a, snapshot.id));
      const servers = await backups.servers(signal).catch(() => []);
      const files = await exportSnapshot(
        { repository: backups.local, engine, servers },
        snapshot,
        manifest,
        directory,
        signal,
      );
      note(actor, 'backup export', snapshot.id, 'done');
      return { id: snapshot.id, directory, files };
    },
  };
}

function shapeOf(
  snapshot: Snapshot,
  reasons: readonly string[],
  manifest: BackupManifest | ApplianceError | undefined,
): Backup {
  const { id, kind, time, proven, bytes, added } = snapshot;
  const lost = snapshot.damaged ? 'a part of its content was lost with a part of the repository' : null;
  const problem = manifest instanceof ApplianceError ? manifest.message : lost;
  const components = manifest && !(manifest instanceof ApplianceError) ? manifest.components : [];
  return {
    id,
    time: timestamp(time),
    kind,
    components: components.map((one) => ({ name: one.name, bytes: one.bytes, sha256: one.sha256 })),
    proven: proven && { time: timestamp(proven.time), seconds: proven.seconds },
    protected: snapshot.protected,
    bytes,
    added,
    kept: [...reasons],
    problem,
  };
}

/** Where a snapshot is exported when nobody says where: it holds secrets, so not wherever somebody happens to be. */
async function ownExport({ paths }: Appliance, id: string): Promise<string> {
  const exports = join(paths.lib, 'exports');
  await mkdir(exports, { recursive: true, mode: 0o700 });
  return join(exports, id);
}

/** Reads all data of the repository back. */
async function wholeRepository({ backups }: Appliance, signal: AbortSignal): Promise<Finding> {
  const id = 'backup-repository';
  try {
    await backups.check({ readData: 'all', signal });
    return { id, verdict: 'pass', observed: 'all data of the repository were read back and are whole' };
  } catch (thrown) {
    const error = asApplianceError(thrown);
    if (error.code !== 'backup_damaged') throw error;
    return { id, verdict: 'fail', observed: error.message, hint: error.hint };
  }
}
