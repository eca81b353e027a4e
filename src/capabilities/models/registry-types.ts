import { z } from 'zod';
import { jsonText } from '../../lib/json.ts';
import { verdicts } from '../../lib/verdict.ts';

/** States of a version, in the words of CONTRACT. Only one version of a model is `production`. */
const modelStates = ['registered', 'validated', 'production', 'archived'] as const;
export type ModelState = (typeof modelStates)[number];

/** What a version says about itself beside numbers (S3-6). */
const metadataSchema = z.object({
  features: z.array(z.string()),
  /** Library → version. */
  libraries: z.record(z.string(), z.string()),
  algorithm: z.string().nullable(),
  /** As the manifest says it; not checked. */
  trainedAt: z.string().nullable(),
});
export type ModelMetadata = z.output<typeof metadataSchema>;

/** One file of a version; `path` is relative to its directory. */
export const artefactSchema = z.object({ path: z.string(), sha256: z.string(), bytes: z.number() });
export type Artefact = z.output<typeof artefactSchema>;

const versionRow = z.object({
  id: z.number(),
  name: z.string(),
  version: z.string(),
  /** SHA-256 of the bytes of manifest.json: by this a running process says what it has loaded. */
  sha256: z.string(),
  /** SHA-256 over paths and hashes of all files. */
  content: z.string(),
  files: z.number(),
  bytes: z.number(),
  state: z.enum(modelStates),
  metadata: jsonText(metadataSchema),
  source: z.string(),
  actor: z.string(),
  /** Milliseconds since 1970. */
  createdAt: z.number(),
  promotedAt: z.number().nullable(),
  aliases: jsonText(z.array(z.string())),
  metrics: jsonText(z.record(z.string(), z.number())),
});

/** A registered version. */
export type ModelVersion = z.output<typeof versionRow> & {
  /** Absolute path; its content never changes. */
  readonly directory: string;
};

/** Whether it has passed its gates or was in production: only such a version may come back without being asked again. */
export const hasProvenItself = ({ state, promotedAt }: Pick<ModelVersion, 'state' | 'promotedAt'>): boolean =>
  state === 'validated' || promotedAt !== null;

/** Reads rows of `versionColumns`. */
export function readVersion(row: unknown, directoryOf: (name: string, version: string) => string): ModelVersion {
  const version = versionRow.parse(row);
  return { ...version, directory: directoryOf(version.name, version.version) };
}

/** Columns of a ModelVersion, from `versions AS v JOIN models AS m`. */
export const versionColumns = `v.id, m.name, v.version, v.sha256, v.content, v.files, v.bytes, v.state, v.metadata,
  v.source, v.actor, v.created_at AS createdAt, v.promoted_at AS promotedAt,
  (SELECT json_group_array(alias) FROM aliases WHERE version = v.id) AS aliases,
  (SELECT json_group_object(name, value) FROM metrics WHERE version = v.id) AS metrics`;

/** What a version is registered with. */
export interface NewVersion {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
  readonly artefacts: readonly Artefact[];
  readonly metrics: Readonly<Record<string, number>>;
  readonly metadata: ModelMetadata;
  /** Where it came from, for people. */
  readonly source: string;
}

/** Who changes something, and why. */
export interface Change {
  /** Name of the user. */
  readonly actor: string;
  readonly operation?: string | undefined;
  readonly reason?: string | undefined;
}

const modelEvents = [
  'registered',
  'imported',
  'validated',
  'refused',
  'promoted',
  'rolled-back',
  'archived',
  'unarchived',
  'exported',
  'split',
  'split-ended',
  'taken-over',
  'withdrawn',
  'pruned',
  'restored',
] as const;
export type ModelEvent = (typeof modelEvents)[number];

/** A line of the append-only history; `replaced` is the version that was in production until then. */
export const historySchema = z.object({
  seq: z.number(),
  name: z.string(),
  version: z.string(),
  event: z.enum(modelEvents),
  replaced: z.string().nullable(),
  at: z.number(),
  actor: z.string(),
  operation: z.string().nullable(),
  reason: z.string().nullable(),
});
export type ModelHistory = z.output<typeof historySchema>;

export const approvalSchema = z.object({
  role: z.string(),
  actor: z.string(),
  at: z.number(),
  comment: z.string().nullable(),
});
export type ModelApproval = z.output<typeof approvalSchema>;

/** A report of the gates that was kept; `report` is what the gates wrote. */
export const reportSchema = z.object({
  seq: z.number(),
  verdict: z.enum(verdicts),
  at: z.number(),
  report: z.string().transform((text): unknown => JSON.parse(text)),
});
export type ModelReport = z.output<typeof reportSchema>;
