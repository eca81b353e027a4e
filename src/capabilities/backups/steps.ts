import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readJson, writeFileAtomic } from '../../host/files.ts';
import { ApplianceError, asApplianceError } from '../../lib/errors.ts';
import { formatBytes, formatDuration } from '../../lib/units.ts';
import type { Finding } from '../../lib/verdict.ts';
import { defineStep, type StepContext } from '../../operations/step.ts';
import { anomalies } from './anomalies.ts';
import { bindModels, type CollectDeps, collect, modelsSignature, mountsOf, stagingOf } from './collect.ts';
import { forgetSnapshots } from './forget.ts';
import {
  type BackupKind,
  type BackupManifest,
  backupIdPattern,
  backupKinds,
  backupManifestSchema,
  parseManifest,
} from './manifest.ts';
import { damagedModels } from './models.ts';
import { copyOffsite } from './offsite.ts';
import { damagedRepository, type Stored } from './repository.ts';
import type { Snapshot } from './snapshots.ts';
import type { BackupStepDeps } from './step-deps.ts';

const about = z.object({
  id: z.string().regex(backupIdPattern),
  kind: z.enum(backupKinds),
  protect: z.boolean().default(false),
  acceptMissing: z.boolean().default(false),
});
type About = z.output<typeof about>;

/** How often a snapshot is stored again because its models were changed meanwhile. */
const tries = 3;
const day = 86_400_000;

/** Steps of a backup; each is safe to run again after a crash: the id of the snapshot stands in the plan. */
export function createBackupSteps(deps: BackupStepDeps) {
  const { store, clock } = deps;
  /** When each began, by the clock that is never set. */
  const began = new Map<string, number>();
  /** What was read back when snapshots were stored: their manifests, and a part of all data. */
  const readBack = new Map<string, { readonly manifest: BackupManifest; readonly part: string | undefined }>();
  return {
    collectSnapshot: defineStep({
      action: 'collect-snapshot',
      args: about,
      async apply(wish: About, context) {
        began.set(wish.id, clock.monotonic());
        store.begin({ id: wish.id, kind: wish.kind, operation: context.operation, began: clock.now() });
        await deps.key.ensure(existsSync(join(deps.repository, 'config')));
        const { manifest, unchanged } = await collect(deps, wish, context);
        const earlier = store.before(wish.id).flatMap((record) => record.manifest ?? []);
        const damaged = await damagedModels(deps.models, manifest.models);
        const findings = [...anomalies(manifest, earlier), ...(damaged.length === 0 ? [] : [modelFinding(damaged)])];
        store.collected(wish.id, manifest, stagedBytes(manifest), findings);
        const alarm = findings.filter(({ verdict }) => verdict === 'fail').map(({ observed }) => observed);
        const still = unchanged.length === 0 ? '' : `; unchanged since the last dump: ${unchanged.join(', ')}`;
        const said = `${manifest.components.length} parts, ${formatBytes(stagedBytes(manifest))} dumped or copied${still}`;
        return alarm.length > 0 ? `${said}; look at this: ${alarm.join('; ')}` : said;
      },
      async undo({ id }) {
        await rm(stagingOf(deps, id), { recursive: true, force: true });
        if (store.get(id)?.state !== 'verified') store.failed(id);
      },
    }),

    storeSnapshot: defineStep({
      action: 'store-snapshot',
      args: about,
      async apply(wish: About, context) {
        await deps.local.ensure(context.signal, { make: true });
        const stored =
          (await storedBefore(deps, wish, context)) ??
          (await storeUnchanged(deps, { ...wish, readData: partToRead(deps, wish.kind) }, context));
        const since = began.get(wish.id);
        const seconds = since === undefined ? stored.seconds : (clock.monotonic() - since) / 1_000;
        store.stored(wish.id, { seconds, bytes: stored.bytes, added: stored.added });
        if (stored.manifest !== null)
          readBack.set(wish.id, { manifest: parseManifest(stored.manifest), part: stored.readBack });
        await rm(stagingOf(deps, wish.id), { recursive: true, force: true });
        const rate = stored.seconds > 0 ? `, ${formatBytes(stored.bytes / stored.seconds)}/s` : '';
        return `${formatBytes(stored.bytes)} in ${formatDuration(stored.seconds * 1_000)}${rate}; ${formatBytes(stored.added)} were new`;
      },
    }),

    /** Reads the snapshot's manifest back, and a part of all data: another one each day. */
    verifySnapshot: defineStep({
      action: 'verify-snapshot',
      args: about,
      async apply({ id, kind }: About, context) {
        const known = readBack.get(id);
        readBack.delete(id);
        const manifest = known?.manifest ?? (await manifestThere(deps, id, context.signal));
        const expected = store.get(id)?.manifest;
        if (expected && JSON.stringify(manifest) !== JSON.stringify(backupManifestSchema.parse(expected)))
          throw new ApplianceError('backup_damaged', `the manifest of ${id} is not what was stored`, {
            left: 'the snapshots before it are untouched',
            hint: 'prove the repository: appliance backup verify; then run it again: appliance backup now',
          });
        const part = known?.part ?? partToRead(deps, kind);
        if (part !== known?.part) await checkRepository(deps, part, context.signal);
        store.verified(id);
        if (part === undefined) return 'its manifest is read back';
        return `part ${part.replace('/', ' of ')} of the repository was read back and is whole`;
      },
    }),

    copyOffsite: copyOffsite(deps),
    forgetSnapshots: forgetSnapshots(deps),
  };
}

/** The part of all data that is read back, another one each day; none where a deploy waits. */
function partToRead({ config, clock }: BackupStepDeps, kind: BackupKind): string | undefined {
  if (kind === 'pre-deploy' || kind === 'pre-migration') return undefined;
  const { parts } = config.check;
  return `${(Math.floor(clock.now() / day) % parts) + 1}/${parts}`;
}

/** Of a snapshot that an earlier process has stored. */
async function manifestThere({ local }: BackupStepDeps, id: string, signal: AbortSignal): Promise<BackupManifest> {
  const snapshot = (await local.list(signal)).find((one) => one.id === id);
  if (snapshot) return local.manifest(snapshot, signal);
  throw new ApplianceError('backup_failed', `the snapshot ${id} is not in the repository`, {
    left: 'the snapshots before it are untouched',
    hint: 'run it again: appliance backup now',
  });
}

/**
 * Checks the local repository and remembers what is broken, so that the next backup repairs it.
 * @throws ApplianceError `backup_damaged`
 */
export async function checkRepository(
  { local, store, clock }: Pick<BackupStepDeps, 'local' | 'store' | 'clock'>,
  readData: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const checked = await local.check({ readData, signal }).catch((thrown: unknown) => {
    const error = asApplianceError(thrown);
    if (error.code !== 'backup_damaged') throw error;
    return { whole: false, brokenPacks: [] };
  });
  if (checked.whole) return;
  store.damaged(local.target.name, checked.brokenPacks, clock.now());
  throw damagedRepository(local.target.name, checked);
}

function modelFinding(damaged: readonly string[]): Finding {
  const observed = `not as registered: ${damaged.slice(0, 10).join(', ')}`;
  return { id: 'backup-models', verdict: 'fail', observed, expected: 'every model of the registry (S1-44)' };
}

const stagedBytes = ({ components }: BackupManifest): number =>
  components
    .filter(({ path, name }) => path !== '/models' && !['releases', 'persistent', 'audit'].includes(name))
    .reduce((sum, { bytes }) => sum + bytes, 0);

/** Says that restic has been started on this snapshot, so that a run after a crash looks whether it came to its end. */
const begunMark = (deps: CollectDeps, id: string): string => `${stagingOf(deps, id)}.begun`;

/** What a run that was cut short has stored; a snapshot whose models nobody has compared any more is taken out again. */
async function storedBefore(deps: BackupStepDeps, { id }: About, context: StepContext): Promise<Stored | undefined> {
  if (!existsSync(begunMark(deps, id)) && existsSync(stagingOf(deps, id))) return undefined;
  const found: Snapshot | undefined = (await deps.local.list(context.signal)).find((one) => one.id === id);
  if (!found) return undefined;
  const record = deps.store.get(id);
  if (record?.state === 'stored' || record?.state === 'verified')
    return {
      resticId: found.resticId,
      bytes: found.bytes ?? 0,
      added: found.added ?? 0,
      seconds: record.seconds ?? 0,
      manifest: null,
    };
  await deps.local.forget([found.resticId], context.signal);
  return undefined;
}

/** A snapshot to be stored. @param readData the part of all data that is read back in the same go */
type Wish = About & { readonly readData: string | undefined };

/** Stores until the models directory was the same before and after. */
async function storeUnchanged(deps: BackupStepDeps, wish: Wish, context: StepContext): Promise<Stored> {
  const staging = stagingOf(deps, wish.id);
  let manifest = await readJson(join(staging, 'manifest.json'), backupManifestSchema);
  if (!manifest)
    throw new ApplianceError('backup_failed', `what was collected for ${wish.id} is gone`, {
      left: 'the snapshots before it are untouched',
      hint: 'run it again: appliance backup now',
    });
  await writeFileAtomic(begunMark(deps, wish.id), '', 0o600);
  for (let attempt = 1; ; attempt += 1) {
    const before = await modelsSignature(deps);
    manifest = await bindModels(deps, staging, manifest);
    const record = deps.store.get(wish.id);
    deps.store.collected(wish.id, manifest, record?.staged ?? 0, record?.findings ?? []);
    const stored = await storeOnce(deps, wish, context);
    if ((await modelsSignature(deps)) === before) {
      await rm(begunMark(deps, wish.id), { force: true });
      return stored;
    }
    await deps.local.forget([stored.resticId], context.signal);
    if (attempt === tries)
      throw new ApplianceError(
        'backup_failed',
        `the models were changed each of ${tries} times that they were stored`,
        {
          left: 'no snapshot was made; the snapshots before it are untouched',
          hint: 'wait until whoever writes them is done, then run it again: appliance backup now',
        },
      );
    context.progress('the models have changed meanwhile; once more');
  }
}

/** Runs restic; a damaged repository is repaired first, and everything is read anew, so that lost data come back. */
async function storeOnce(deps: BackupStepDeps, wish: Wish, context: StepContext): Promise<Stored> {
  const { local, store, clock } = deps;
  const { mounts, exclude } = await mountsOf(deps, wish.id);
  const time = store.get(wish.id)?.began ?? clock.now();
  const progress = ({ share, done, total }: { share: number; done: number; total: number }): void =>
    context.progress(`${Math.floor(share * 100)} % of ${formatBytes(total)}, ${formatBytes(done)} read`);
  const run = (readAll: boolean): Promise<Stored> => {
    // What is being repaired is read back when that is done.
    const readData = readAll ? undefined : wish.readData;
    return local.store({ ...wish, time, readData }, mounts, { signal: context.signal, progress, readAll, exclude });
  };
  const repairFirst = async (packs: readonly string[]): Promise<Stored> => {
    context.progress('the repository is damaged; repair it and store everything again');
    await local.repair(packs, context.signal);
    const stored = await run(true);
    await local.giveUpLost(context.signal);
    store.repaired(local.target.name);
    return stored;
  };
  const known = store.damage(local.target.name);
  if (known) return repairFirst(known);
  try {
    return await run(false);
  } catch (thrown) {
    const error = asApplianceError(thrown);
    if (error.code !== 'backup_damaged') throw error;
    return repairFirst([]);
  }
}
