import type { Model, ModelHistoryEntry } from '../api/models.ts';
import type { Pointer } from '../capabilities/models/pointer.ts';
import type { ModelHistory, ModelVersion } from '../capabilities/models/registry.ts';
import type { Split } from '../capabilities/models/split.ts';
import { timestamp } from '../lib/clock.ts';

/** What the files in the models directory say about who answers requests. */
export interface Serving {
  readonly pointer: Pointer | null;
  readonly split: Split | null;
}

export const nameOf = ({ name, version }: Pointer): string => `${name}@${version}`;
const isAt = (version: ModelVersion, place: Pointer | null): boolean =>
  place !== null && nameOf(version) === nameOf(place);
export const isInForce = (version: ModelVersion, { pointer }: Serving): boolean => isAt(version, pointer);

export function shapeOf(version: ModelVersion, serving: Serving): Model {
  const { name, version: label, sha256, state, aliases, metrics, actor, files, bytes } = version;
  return {
    name,
    version: label,
    sha256,
    state,
    aliases,
    metrics,
    promotedAt: version.promotedAt === null ? null : timestamp(version.promotedAt),
    createdAt: timestamp(version.createdAt),
    actor,
    files,
    bytes,
    inForce: isAt(version, serving.pointer),
    weight: isAt(version, serving.split) ? (serving.split?.weight ?? null) : null,
  };
}

export function historyOf({
  at,
  name,
  version,
  event,
  replaced,
  actor,
  operation,
  reason,
}: ModelHistory): ModelHistoryEntry {
  return { time: timestamp(at), name, version, event, replaced, actor, operation, reason };
}
