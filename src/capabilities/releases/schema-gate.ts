import { ApplianceError } from '../../lib/errors.ts';

/** What the database holds today: its version, and the oldest release schema that can still read it. */
export interface SchemaState {
  readonly version: number;
  readonly readableFrom: number;
}

/** What a release was built for. */
export interface ReleaseSchema {
  readonly version: number;
  readonly readableFrom: number;
}

/**
 * The database after a release has migrated it. A floor never sinks: what one migration took from old releases, no
 * later migration gives back.
 */
export function afterMigration(today: SchemaState | null, release: ReleaseSchema): SchemaState {
  if (today === null || release.version > today.version) {
    return { version: release.version, readableFrom: Math.max(today?.readableFrom ?? 0, release.readableFrom) };
  }
  return today;
}

/**
 * Refuses a release that cannot read today's schema. Schemas do not roll back.
 * @throws ApplianceError `schema_gate` with both numbers
 */
export function assertReadable(tag: string, release: ReleaseSchema | null, today: SchemaState | null): void {
  if (release === null || today === null || release.version >= today.readableFrom) return;
  throw new ApplianceError(
    'schema_gate',
    `${tag} was built for schema ${release.version}; the database is at schema ${today.version}, which only releases from schema ${today.readableFrom} on can read`,
    {
      left: 'nothing was touched; the current release goes on serving',
      hint: `deploy or roll back to a release of schema ${today.readableFrom} or later, or restore a snapshot from before schema ${today.version}`,
    },
  );
}

/** Whether a release reads a database as it is, and needs nothing newer. Pure. */
export function canWorkWith(release: ReleaseSchema | null, database: SchemaState | null): boolean {
  if (release === null || database === null) return true;
  return release.version >= database.readableFrom && release.version <= database.version;
}

/**
 * Refuses to put a database of a snapshot under a release that cannot work with it: one that is too old to read it, or one
 * that needs a newer schema.
 * @throws ApplianceError `schema_gate` with both numbers
 */
export function assertRestorable(
  live: { readonly tag: string; readonly schema: ReleaseSchema | null },
  snapshot: SchemaState | null,
  about: { readonly id: string; readonly release: { readonly tag: string } | null },
): void {
  const { tag, schema } = live;
  if (schema === null || snapshot === null || canWorkWith(schema, snapshot)) return;
  const why =
    schema.version > snapshot.version
      ? `needs schema ${schema.version}`
      : `was built for schema ${schema.version}, and only releases from schema ${snapshot.readableFrom} on can read it`;
  throw new ApplianceError(
    'schema_gate',
    `the database of ${about.id} is at schema ${snapshot.version}; ${tag}, which serves now, ${why}`,
    {
      left: 'nothing was touched; the current release goes on serving',
      hint: about.release
        ? `go back to the release that worked with it, with its data: appliance rollback ${about.release.tag} --restore-data=${about.id}`
        : 'choose a snapshot of another day: appliance backup list',
    },
  );
}

/** Whether a release's migration takes the database away from the release that serves now. Pure. */
export function breaksLive(
  release: ReleaseSchema | null,
  today: SchemaState | null,
  live: ReleaseSchema | null,
): boolean {
  if (release === null || live === null) return false;
  return live.version < afterMigration(today, release).readableFrom;
}

/**
 * Refuses to migrate the database under a live release that could not read it afterwards: users would get its errors
 * until the traffic has moved.
 * @throws ApplianceError `schema_gate` with both numbers
 */
export function assertLiveKeepsReading(
  release: { readonly tag: string; readonly schema: ReleaseSchema | null },
  today: SchemaState | null,
  live: { readonly tag: string; readonly schema: ReleaseSchema | null } | null,
): void {
  if (!live || !release.schema || !breaksLive(release.schema, today, live.schema)) return;
  throw new ApplianceError(
    'schema_gate',
    `${release.tag} migrates the database to schema ${release.schema.version}, which only releases from schema ${release.schema.readableFrom} on can read; ${live.tag}, which serves now, was built for schema ${live.schema?.version}`,
    {
      left: 'nothing was touched; the current release goes on serving',
      hint: `split the migration so that ${live.tag} can still read the result, or accept a downtime and no quick way back: appliance deploy ${release.tag} --strategy recreate`,
    },
  );
}
