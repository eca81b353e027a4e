import type { PolicyDemands } from '../../../config/policy-demands.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';

/** Runs a query in the database of the appliance. @returns its lines; null where no database is named (monitoring.database) */
export type AskDatabase = (query: string, signal: AbortSignal) => Promise<readonly string[] | null>;

const unnamed = inconclusive('appliance.yaml does not say which service is the database', {
  hint: 'set monitoring.database.service',
});

/** The tables that the application needs are there (S0-12). */
export function tablesCheck(ask: AskDatabase, wants: NonNullable<PolicyDemands['tables']>): Check {
  return {
    id: 'smoke.tables',
    group: 'smoke',
    requirement: [wants.id],
    about: 'tables of the database',
    expected: wants.names.join(', '),
    hint: 'run the migrations: deploy the release that brings them',
    look: async (signal) => {
      const found = await ask(
        "SELECT table_name FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema')",
        signal,
      );
      if (found === null) return unnamed;
      const missing = wants.names.filter((name) => !found.includes(name));
      return missing.length > 0
        ? fail(`missing: ${missing.join(', ')}`, { samples: found.length })
        : pass(`all ${wants.names.length} are there`, { samples: found.length });
    },
  };
}

/**
 * The database has the schema that the live release was made for (S0-10, S1-25).
 * @param schema what the release says; null where it declares none
 */
export function migrationCheck(
  schema: () => Promise<{
    readonly wanted: number | null;
    readonly today: { readonly version: number; readonly readableFrom: number } | null;
  }>,
): Check {
  return {
    id: 'smoke.migration',
    group: 'smoke',
    requirement: ['S0-10', 'S1-25'],
    about: 'schema of the database',
    expected: 'one that the release can work with',
    hint: 'look at the log of the migration: appliance logs migrate',
    look: async () => {
      const { wanted, today } = await schema();
      if (wanted === null)
        return inconclusive('the release declares no schema', {
          hint: 'add x-appliance: { schema: { version: N } } to its Compose file',
        });
      if (today === null) return fail(`it was never migrated; ${wanted} is wanted`);
      const good = today.version >= wanted && wanted >= today.readableFrom;
      return (good ? pass : fail)(
        `schema ${today.version}, readable from ${today.readableFrom} on; the release is made for ${wanted}`,
      );
    },
  };
}
