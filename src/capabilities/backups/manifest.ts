import { z } from 'zod';
import { ApplianceError } from '../../lib/errors.ts';

/** The layout of a snapshot that this program writes, and the newest that it reads. */
export const snapshotFormat = 1;

export const backupKinds = ['nightly', 'pre-deploy', 'pre-migration', 'safety', 'manual'] as const;
export type BackupKind = (typeof backupKinds)[number];

/** `20261121T020000Z-1f3c`: when it began, in UTC, and four hexadecimal digits. */
export const backupIdPattern = /^\d{8}T\d{6}Z-[0-9a-f]{4}$/;

const componentSchema = z.object({
  /**
   * `database:<service>/<database>`, `roles:<service>`, `models`, `registry`, `state`, `releases`, `config`, `secrets`,
   * `core`, `persistent`, `certificates`, `monitoring`, `model-keys`.
   */
  name: z.string(),
  /** Where it lies, relative to `/snapshot`; `/models` for the models directory. */
  path: z.string(),
  bytes: z.number(),
  /** Of a file; null for a directory, whose files restic itself identifies by content. */
  sha256: z.string().nullable(),
  /** Rows of each table, counted in the same snapshot of the database that was dumped (S4-39). */
  rows: z.record(z.string(), z.number()).optional(),
  /** Of the server that was dumped. */
  serverVersion: z.string().optional(),
});
export type BackupComponent = z.output<typeof componentSchema>;

/** What one snapshot is: the list that binds its parts, written as `/snapshot/manifest.json`. Sizes are bytes. */
export const backupManifestSchema = z.object({
  format: z.literal(snapshotFormat),
  id: z.string().regex(backupIdPattern),
  kind: z.enum(backupKinds),
  /** RFC 3339 in UTC. */
  time: z.string(),
  appliance: z.object({ name: z.string(), version: z.string() }),
  /** What was live; null before the first deploy. */
  release: z
    .object({
      tag: z.string(),
      id: z.string(),
      /** Of the database at that time, not of the release. */
      schema: z.object({ version: z.number(), readableFrom: z.number() }).nullable(),
    })
    .nullable(),
  components: z.array(componentSchema),
  /** Every version that the registry in the snapshot knows; `sha256` is the digest of its manifest.json. */
  models: z.array(z.object({ name: z.string(), version: z.string(), sha256: z.string(), bytes: z.number() })),
  /** What `current` named; null where the flat directory of a release was served. */
  modelInForce: z.object({ name: z.string(), version: z.string() }).nullable(),
});
export type BackupManifest = z.output<typeof backupManifestSchema>;

/**
 * Reads the manifest of a snapshot.
 * @throws ApplianceError `backup_newer` when a newer appliance has written it; `backup_damaged` when it is no manifest
 */
export function parseManifest(text: string): BackupManifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw damaged(error);
  }
  const about = z.object({ format: z.int(), appliance: z.object({ version: z.string() }) }).safeParse(value);
  if (about.success && about.data.format > snapshotFormat) throw newer(about.data);
  const manifest = backupManifestSchema.safeParse(value);
  if (!manifest.success) throw damaged(manifest.error);
  return manifest.data;
}

function newer({ format, appliance }: { format: number; appliance: { version: string } }): ApplianceError {
  return new ApplianceError(
    'backup_newer',
    `the snapshot has format ${format} and was made by appliance ${appliance.version}; this one reads up to ${snapshotFormat}`,
    {
      left: 'nothing was touched',
      hint: `install appliance ${appliance.version} or newer, then run the command again`,
    },
  );
}

function damaged(cause: unknown): ApplianceError {
  return new ApplianceError('backup_damaged', 'the manifest of the snapshot cannot be read', {
    left: 'nothing was touched',
    hint: 'choose another snapshot: appliance backup list; prove the repository: appliance backup verify',
    cause,
  });
}

/**
 * Names a new snapshot.
 * @param now milliseconds since 1970
 * @param random four hexadecimal digits
 */
export function newBackupId(now: number, random: string): string {
  return `${new Date(now).toISOString().replaceAll(/[-:]|\.\d+/g, '')}-${random}`;
}
