import { z } from 'zod';
import { ApplianceError } from '../../lib/errors.ts';
import { didYouMean } from '../../lib/near.ts';
import { type BackupKind, backupIdPattern, backupKinds, snapshotFormat } from './manifest.ts';

/** A snapshot as the repository itself tells of it, so that a bare host knows as much. */
export interface Snapshot {
  readonly id: string;
  /** By this restic knows it; a new tag gives it another one. */
  readonly resticId: string;
  /** Further copies of it in the same repository; each goes when it goes. */
  readonly others: readonly string[];
  readonly kind: BackupKind;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly proven: Proof | null;
  readonly protected: boolean;
  /** Some of its content was lost with a part of the repository; the rest can still be restored. */
  readonly damaged: boolean;
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
/** Of what something had to be left out. */
export const damagedTag = 'damaged';

export function proofTag({ time, seconds }: Proof): string {
  return `proven:${new Date(time).toISOString()}/${seconds.toFixed(1)}`;
}

/**
 * Reads the answer of `restic snapshots --json`; the newest first. What is not ours is left out. A snapshot that is there
 * twice is one that has all marks of both: an off-site copy is made anew when its original was marked after it, for example.
 */
export function readSnapshots(text: string): Snapshot[] {
  const found = z.array(resticSchema).parse(JSON.parse(text.trim() === '' ? '[]' : text));
  const snapshots = new Map<string, Snapshot>();
  for (const one of found) {
    const snapshot = snapshotOf(one);
    if (!snapshot) continue;
    const known = snapshots.get(snapshot.id);
    snapshots.set(snapshot.id, known ? together(known, snapshot) : snapshot);
  }
  return [...snapshots.values()].sort((a, b) => b.time - a.time || (a.id < b.id ? 1 : -1));
}

function together(one: Snapshot, other: Snapshot): Snapshot {
  const [proof, proof2] = [one.proven, other.proven];
  return {
    ...(one.damaged ? other : one),
    others: [...one.others, ...other.others, one.damaged ? one.resticId : other.resticId],
    proven: proof && (!proof2 || proof.time >= proof2.time) ? proof : proof2,
    protected: one.protected || other.protected,
    bytes: one.bytes ?? other.bytes,
    added: one.added ?? other.added,
  };
}

function snapshotOf({ id: resticId, time, tags, summary }: z.output<typeof resticSchema>): Snapshot | undefined {
  const value = (key: string): string | undefined =>
    tags?.find((tag) => tag.startsWith(`${key}:`))?.slice(key.length + 1);
  const [id, kind] = [value('backup'), value('kind')];
  if (!id || !backupIdPattern.test(id)) return undefined;
  const damaged = tags?.includes(damagedTag) ?? false;
  return {
    id,
    resticId,
    others: [],
    kind: backupKinds.find((known) => known === kind) ?? 'manual',
    time: Date.parse(time),
    // Whatever was proven before: it is not what it was then.
    proven: damaged ? null : newestProof(tags ?? []),
    damaged,
    protected: tags?.includes(protectedTag) ?? false,
    newer: Number(value('format')) > snapshotFormat,
    bytes: summary?.total_bytes_processed ?? null,
    added: summary?.data_added_packed ?? null,
  };
}

/** A snapshot that was proven again keeps the later proof. */
function newestProof(tags: readonly string[]): Proof | null {
  const proofs = tags.flatMap((tag): Proof[] => {
    const [, time, seconds] = /^proven:([^/]+)\/(.+)$/.exec(tag) ?? [];
    return time === undefined ? [] : [{ time: Date.parse(time), seconds: Number(seconds) }];
  });
  return proofs.reduce<Proof | null>((last, proof) => (last && last.time >= proof.time ? last : proof), null);
}

/** restic's ids of a snapshot and of all its copies. */
export const resticIdsOf = ({ resticId, others }: Pick<Snapshot, 'resticId' | 'others'>): string[] => [
  resticId,
  ...others,
];

/**
 * How copies must be marked so that they are what their originals are. Pure.
 * @param copies by the id of the snapshot
 * @returns arguments of `restic tag`, and the snapshots that each is for
 */
export function marksToCopy(
  originals: readonly Snapshot[],
  copies: ReadonlyMap<string, Snapshot>,
): { readonly change: readonly string[]; readonly resticIds: readonly string[] }[] {
  const changes = new Map<string, { change: readonly string[]; resticIds: string[] }>();
  const note = (copy: Snapshot, change: readonly string[]): void => {
    const key = change.join(' ');
    changes.set(key, { change, resticIds: [...(changes.get(key)?.resticIds ?? []), ...resticIdsOf(copy)] });
  };
  for (const { id, proven, protected: on } of originals) {
    const copy = copies.get(id);
    if (!copy) continue;
    const add = [
      ...(proven && proven.time !== copy.proven?.time ? ['--add', proofTag(proven)] : []),
      ...(on && !copy.protected ? ['--add', protectedTag] : []),
    ];
    const change = [...add, ...(!on && copy.protected ? ['--remove', protectedTag] : [])];
    if (change.length > 0) note(copy, change);
  }
  return [...changes.values()];
}

/**
 * The snapshot that a person names: `latest` (the newest that is no safety snapshot), an id, or the beginning of one.
 * @throws ApplianceError `backup_not_found` with near matches; `usage` when several begin so, or nothing is named
 */
export function findSnapshot(snapshots: readonly Snapshot[], named: string): Snapshot {
  const wanted = named.trim();
  if (wanted === '')
    throw new ApplianceError('usage', 'the name of the snapshot is empty', {
      left: 'nothing was touched',
      hint: 'name one of appliance backup list by its id or the beginning of that, or latest',
    });
  const [newest] = snapshots;
  // A safety snapshot is of what somebody wanted to be rid of.
  if (wanted === 'latest' && newest)
    return snapshots.find(({ kind, damaged }) => kind !== 'safety' && !damaged) ?? newest;
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
