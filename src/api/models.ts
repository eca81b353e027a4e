import { z } from 'zod';
import { verdicts } from '../lib/verdict.ts';
import { findingSchema } from './schema.ts';

// The JSON shapes of `appliance models`. Times are RFC 3339 in UTC, sizes bytes.

export const modelSchema = z.object({
  name: z.string(),
  version: z.string(),
  /** Of manifest.json: by this a running process says what it has loaded. */
  sha256: z.string(),
  state: z.enum(['registered', 'validated', 'production', 'archived']),
  aliases: z.array(z.string()),
  metrics: z.record(z.string(), z.number()),
  promotedAt: z.string().nullable(),
  createdAt: z.string(),
  actor: z.string(),
  files: z.number(),
  bytes: z.number(),
  /** Whether `current` names it. */
  inForce: z.boolean(),
  /** Share of the requests that it answers beside the model in force, above 0 and below 1; null without one. */
  weight: z.number().nullable(),
});
export type Model = z.output<typeof modelSchema>;

export const modelHistorySchema = z.object({
  time: z.string(),
  name: z.string(),
  version: z.string(),
  event: z.string(),
  /** What was in production until then. */
  replaced: z.string().nullable(),
  actor: z.string(),
  operation: z.string().nullable(),
  reason: z.string().nullable(),
});
export type ModelHistoryEntry = z.output<typeof modelHistorySchema>;

export const modelDetailSchema = modelSchema.extend({
  directory: z.string(),
  source: z.string(),
  features: z.array(z.string()),
  libraries: z.record(z.string(), z.string()),
  algorithm: z.string().nullable(),
  trainedAt: z.string().nullable(),
  artefacts: z.array(z.object({ path: z.string(), sha256: z.string(), bytes: z.number() })),
  /** Each metric in the last versions up to this one, the oldest first; null where a version has none. */
  trends: z.record(z.string(), z.array(z.number().nullable())),
  approvals: z.array(
    z.object({ role: z.string(), actor: z.string(), time: z.string(), comment: z.string().nullable() }),
  ),
  /** What gates said, the newest first. */
  reports: z.array(z.object({ time: z.string(), verdict: z.enum(verdicts), report: z.unknown() })),
  history: z.array(modelHistorySchema),
});
export type ModelDetail = z.output<typeof modelDetailSchema>;

export const modelDiffSchema = z.object({
  from: z.string(),
  to: z.string(),
  changes: z.array(
    z.object({
      area: z.enum(['metric', 'feature', 'library', 'file', 'size', 'algorithm']),
      name: z.string(),
      kind: z.enum(['added', 'removed', 'changed']),
      from: z.string().nullable(),
      to: z.string().nullable(),
    }),
  ),
});

export const modelAddedSchema = modelSchema.extend({
  /** False when the same bytes were registered under the same label already. */
  added: z.boolean(),
});

export const modelArchivedSchema = modelSchema.extend({
  /** Bytes that are free now, because the files were removed. */
  freed: z.number(),
});

export const modelVerifySchema = z.object({ verdict: z.enum(verdicts), checks: z.array(findingSchema) });

export const modelImportedSchema = z.object({
  imported: z.array(modelSchema),
  skipped: z.array(z.object({ path: z.string(), reason: z.string() })),
});

export const modelRepairedSchema = modelImportedSchema.extend({
  /** Where the damaged registry lies now; null when nothing was wrong with it. */
  setAside: z.string().nullable(),
});

export const modelExportedSchema = z.object({
  name: z.string(),
  version: z.string(),
  path: z.string(),
  bytes: z.number(),
  /** Fingerprint of the key that signed it. */
  key: z.string(),
});

/** A version, as `VERSION`, `ALIAS`, `NAME@VERSION` or `NAME@ALIAS`. */
export const versionReference = z
  .string()
  .min(1, 'name a version: VERSION, NAME@VERSION or an alias')
  .max(300, 'no version has so long a name');
const version = versionReference;
export const modelInputs = {
  list: z.object({
    name: z.string().optional(),
    state: modelSchema.shape.state.optional(),
    /** Only versions that were registered before this one. */
    before: version.optional(),
    limit: z.int().min(1).max(1_000).default(50),
  }),
  one: z.object({ version }),
  add: z.object({ directory: z.string().startsWith('/'), policy: z.string().optional() }),
  verify: z.object({ version: version.optional() }),
  history: z.object({ name: z.string().optional(), limit: z.int().min(1).max(10_000).default(50) }),
  diff: z.object({ from: version, to: version }),
  archive: z.object({ version, undo: z.boolean().default(false), prune: z.boolean().default(false) }),
  /** Without a path: what lies in the models directory itself. */
  import: z.object({ path: z.string().startsWith('/').optional(), trust: z.string().optional() }),
  export: z.object({ version, path: z.string().startsWith('/') }),
};
