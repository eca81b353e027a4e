import { z } from 'zod';
import { verdicts } from '../lib/verdict.ts';
import { findingSchema } from './schema.ts';

// The JSON shapes of `appliance backup`. Times are RFC 3339 in UTC, durations seconds, sizes bytes.

const kinds = ['nightly', 'pre-deploy', 'pre-migration', 'safety', 'manual'] as const;
const componentSchema = z.object({
  name: z.string(),
  bytes: z.number(),
  /** Null for a directory. */
  sha256: z.string().nullable(),
});

/** One snapshot as CONTRACT gives it, and more. */
export const backupSchema = z.object({
  id: z.string(),
  time: z.string(),
  kind: z.enum(kinds),
  components: z.array(componentSchema),
  proven: z.object({ time: z.string(), seconds: z.number() }).nullable(),
  protected: z.boolean(),
  /** Of everything in it; null where the repository does not say. */
  bytes: z.number().nullable(),
  /** That it added to the repository. */
  added: z.number().nullable(),
  /** Why retention keeps it; none: the next one forgets it. */
  kept: z.array(z.string()),
  /** Why its content cannot be told, or cannot all be restored: a newer appliance made it, a part of it is lost. */
  problem: z.string().nullable(),
});
export type Backup = z.output<typeof backupSchema>;

export const backupDetailSchema = backupSchema.extend({
  release: z.object({ tag: z.string(), id: z.string() }).nullable(),
  components: z.array(
    componentSchema.extend({
      path: z.string(),
      /** Of each table. */
      rows: z.record(z.string(), z.number()).nullable(),
      serverVersion: z.string().nullable(),
    }),
  ),
  models: z.array(z.object({ name: z.string(), version: z.string(), sha256: z.string(), bytes: z.number() })),
  /** What had collapsed since the snapshots before; empty where this host has not made it. */
  findings: z.array(findingSchema),
  /** Drills of it on this host, the newest first. */
  drills: z.array(z.lazy(() => drillSchema)),
});
export type BackupDetail = z.output<typeof backupDetailSchema>;

/** One restore into throw-away containers. */
const drillSchema = z.object({
  time: z.string(),
  depth: z.enum(['usual', 'deep']),
  verdict: z.enum(verdicts),
  /** What the restore took. */
  seconds: z.number(),
  /** How old the snapshot was. */
  ageSeconds: z.number(),
  findings: z.array(findingSchema),
  /** What it cannot prove, and why. */
  untested: z.array(z.string()),
});

export const backupVerifySchema = z.object({ verdict: z.enum(verdicts), checks: z.array(findingSchema) });

export const backupKeySchema = z.object({
  /** Only the first time that it is asked for. */
  key: z.string().nullable(),
  /** When it was shown. */
  shown: z.string().nullable(),
  /** File that holds it, mode 0600. */
  path: z.string(),
  /** How to restore without this program; the key stands in it only when `key` is given. */
  sheet: z.string(),
});

export const backupExportSchema = z.object({
  id: z.string(),
  directory: z.string(),
  files: z.array(z.object({ name: z.string(), bytes: z.number() })),
});

/** `latest`, an id or the beginning of one. What it names, and that it is empty, is said by who looks for it. */
const named = z.string().max(64);
const snapshot = named.default('latest');
export const backupInputs = {
  now: z.object({
    protect: z.boolean().default(false),
    /** A database of the snapshot before may be gone. */
    acceptMissing: z.boolean().default(false),
    wait: z.number().min(0).default(0),
  }),
  one: z.object({ snapshot }),
  protect: z.object({ snapshot, protected: z.boolean(), wait: z.number().min(0).default(0) }),
  /** Without a snapshot: the whole repository. */
  verify: z.object({ snapshot: named.optional(), wait: z.number().min(0).default(0) }),
  prove: z.object({ key: z.string().min(1).max(200) }),
  /** Without a directory: `exports/ID` in the state directory, which nobody but root can enter. */
  export: z.object({ snapshot, directory: z.string().startsWith('/').optional() }),
  drill: z.object({ snapshot, deep: z.boolean().default(false), wait: z.number().min(0).default(0) }),
  prune: z.object({ wait: z.number().min(0).default(0) }),
};
