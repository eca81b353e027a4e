import { z } from 'zod';
import { ApplianceError } from '../../lib/errors.ts';
import { didYouMean } from '../../lib/near.ts';
import { type BackupKind, backupIdPattern, backupKinds, snapshotFormat } from './manifest.ts';

/** A snapshot as the repository itself tells of it, so that a bare host knows as much. */
export interface Snapshot {
  readonly id: string;
  /** By this restic knows it; a new tag gives it another one. */
  readonly resticId: string;
  readonly kind: BackupKind;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly proven: Proof | null;
  readonly protected: boolean;
  /** A newer appliance made it, in a layout that this one does not know. */
  readonly newer: boolean;
  /** Bytes of everything in it; null where restic did not note it. */
  readonly bytes: number | null;
  /** Bytes that it added to the repository. */
  readonly added: number | null;
}

/** That a snapshot was restored and found whole. */
export interface Proof {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly seconds: number;
}

const resticSchema = z.object({
  id: z.string(),
  time: z.string(),
  tags: z.array(z.string()).nullish(),
  summary: z.object({ total_bytes_processed: z.number(), data_added_packed: z.number() }).nullish(),
});

/** Tags of a snapshot; restic separates tags by commas, so no value may hold one. */
export function tagsOf(about: { name: string; id: string; kind: BackupKind; protect: boolean }): string[] {
  const { name, id, kind } = about;
  return [
    `appliance:${name}`,
    `backup:${id}`,
    `kind:${kind}`,
    `format:${snapshotFormat}`,
    ...(about.protect ? [protectedTag] : []),
  ];
}

export const protectedTag = 'protected';

export function proofTag({ time, seconds }: Proof): string {
  return `proven:${new Date(time).toISOString()}/${seconds.toFixed(1)}`;
}

/** Reads the answer of `restic snapshots --json`; the newest first. What is not ours is left out. */
export function readSnapshots(text: string): Snapshot[] {
  const found = z.array(resticSchema).parse(JSON.parse(text.trim() === '' ? '[]' : text));
  const snapshots = found.flatMap((one) => snapshotOf(one) ?? []);
  snapshots.sort((a, b) => b.time - a.time || (a.id < b.id ? 1 : -1));
  // A copy that was tagged later is there twice.
  return snapshots.filter(({ id }, index) => snapshots.findIndex((other) => other.id === id) === index);
}

function snapshotOf({ id: resticId, time, tags, summary }: z.output<typeof resticSchema>): Snapshot | undefined {
  const value = (key: string): string | undefined =>
    tags?.find((tag) => tag.startsWith(`${key}:`))?.slice(key.length + 1);
  const [id, kind, proof] = [value('backup'), value('kind'), value('proven')];
  if (!id || !backupIdPattern.test(id)) return undefined;
  const [provenAt, seconds] = proof?.split('/') ?? [];
  return {
    id,
    resticId,
    kind: backupKinds.find((known) => known === kind) ?? 'manual',
    time: Date.parse(time),
    proven: provenAt ? { time: Date.parse(provenAt), seconds: Number(seconds) } : null,
    protected: tags?.includes(protectedTag) ?? false,
    newer: Number(value('format')) > snapshotFormat,
    bytes: summary?.total_bytes_processed ?? null,
    added: summary?.data_added_packed ?? null,
  };
}

/**
 * The snapshot that a person names: `latest` (the newest that is no safety snapshot), an id, or the beginning of one.
 * @throws ApplianceError `backup_not_found` with near matches; `usage` when several begin so
 */
export function findSnapshot(snapshots: readonly Snapshot[], wanted: string): Snapshot {
  const [newest] = snapshots;
  // A safety snapshot is of what somebody wanted to be rid of.
  if (wanted === 'latest' && newest) return snapshots.find(({ kind }) => kind !== 'safety') ?? newest;
  const exact = snapshots.find(({ id }) => id === wanted);
  const [first, second] = exact ? [exact] : snapshots.filter(({ id }) => id.startsWith(wanted));
  if (first && !second) return first;
  if (first && second)
    throw new ApplianceError('usage', `several snapshots begin with ${wanted}`, {
      left: 'nothing was touched',
      hint: `name one as a whole, for example ${first.id}`,
    });
  const near = didYouMean(
    wanted,
    snapshots.map(({ id }) => id),
  );
  const hint = newest
    ? `${near ? `${near} ` : ''}appliance backup list shows them`
    : 'there is none yet; make one: appliance backup now';
  throw new ApplianceError('backup_not_found', `there is no snapshot ${wanted}`, { left: 'nothing was touched', hint });
}
