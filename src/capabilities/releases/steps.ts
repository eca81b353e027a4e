import { z } from 'zod';
import { colours } from '../../lib/colour.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { defineStep } from '../../operations/step.ts';
import { afterMigration } from './schema-gate.ts';
import type { ReleaseStore } from './store.ts';

const liveSchema = z.object({ release: z.string(), colour: z.enum(colours), since: z.number() });

/** Steps that write down what has become true. */
export function createReleaseSteps(store: ReleaseStore) {
  return {
    /** Stands before a migration that cannot be taken back: its undo refuses to start what cannot read the database. */
    leaveWayBack: defineStep({
      action: 'leave-way-back',
      args: z.object({ liveTag: z.string(), liveVersion: z.number() }),
      apply: async ({ liveTag }) => `from here on, ${liveTag} only comes back together with its data`,
      undo: async ({ liveTag, liveVersion }) => {
        const today = store.databaseSchema();
        if (!today || liveVersion >= today.readableFrom) return;
        throw new ApplianceError(
          'schema_gate',
          `the database is at schema ${today.version} already, and ${liveTag} (schema ${liveVersion}) cannot read it`,
          {
            hint: `deploy a release of schema ${today.readableFrom} or later, or restore the database from before the migration`,
          },
        );
      },
    }),
    recordSchema: defineStep({
      action: 'record-schema',
      args: z.object({ release: z.string(), version: z.number(), readableFrom: z.number() }),
      apply: async ({ version, readableFrom }) => {
        const today = afterMigration(store.databaseSchema(), { version, readableFrom });
        store.setDatabaseSchema(today);
        return `the database is at schema ${today.version}, readable by releases from schema ${today.readableFrom} on`;
      },
      // Never undone: the migration it records is not undone either.
    }),
    forgetSchema: defineStep({
      action: 'forget-schema',
      args: z.object({}),
      apply: async () => {
        store.forgetDatabaseSchema();
        return 'the next release migrates its database from the beginning';
      },
    }),
    recordLive: defineStep({
      action: 'record-live',
      args: z.object({
        release: z.string(),
        colour: z.enum(colours),
        actor: z.string(),
        previous: liveSchema.nullable(),
      }),
      apply: async ({ release, colour, actor }) => {
        store.setLive(release, colour, { actor, verdict: 'pass' });
        return `${store.get(release).tag} on ${colour} is live`;
      },
      undo: async ({ previous }) => {
        store.restoreLive(previous);
      },
    }),
  };
}
