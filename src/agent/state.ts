import { mkdirSync } from 'node:fs';
import { alertMigrations } from '../capabilities/alerts/index.ts';
import { drillMigrations } from '../capabilities/backups/drill-report.ts';
import { backupMigrations } from '../capabilities/backups/store.ts';
import { certificateMigrations } from '../capabilities/certificates/attempts.ts';
import { followUpMigrations } from '../capabilities/checks/post-deploy/store.ts';
import { secretMigrations } from '../capabilities/checks/upkeep/secret-ages.ts';
import { checkMigrations } from '../capabilities/checks/verdict-store.ts';
import { approvalMigrations } from '../capabilities/people/approvals.ts';
import { signOffMigrations } from '../capabilities/people/questions.ts';
import { releaseMigrations } from '../capabilities/releases/store.ts';
import { rolloutMigrations } from '../capabilities/traffic/rollout-store.ts';
import { Ballast } from '../host/ballast.ts';
import { type Database, openDatabase, openReadOnly } from '../host/sqlite.ts';
import { asApplianceError } from '../lib/errors.ts';
import type { Paths } from '../lib/paths.ts';
import { auditMigrations } from '../operations/audit.ts';
import { journalMigrations } from '../operations/journal.ts';
import { reportMigrations } from '../operations/reports.ts';
import { scheduleMigrations } from '../operations/schedule-store.ts';
import { programBefore, programName } from './update/program.ts';
import { keepState } from './update/state-copy.ts';

/** The modules whose tables the state database holds. */
export const stateModules = [
  alertMigrations,
  backupMigrations,
  checkMigrations,
  journalMigrations,
  auditMigrations,
  releaseMigrations,
  secretMigrations,
  rolloutMigrations,
  certificateMigrations,
  reportMigrations,
  scheduleMigrations,
  drillMigrations,
  followUpMigrations,
  approvalMigrations,
  signOffMigrations,
];

/**
 * Opens the database of the appliance as its one writer; on a full disk, in the space that is kept back. Before a newer
 * program changes its tables, a copy is kept for the program before it (decision 0027).
 */
export function openState(paths: Paths): Database {
  mkdirSync(paths.lib, { recursive: true, mode: 0o755 });
  new Ballast(paths.lib).secure();
  return openDatabase(paths.state, stateModules, undefined, (database) =>
    keepState(database, paths, { by: programName(), before: programBefore() }),
  );
}

/** Opens it for reading beside the writer; on a full disk, in the space that is kept back if nothing else is left. */
export function openStateForReading(paths: Paths): Database {
  try {
    return openReadOnly(paths.state, stateModules);
  } catch (error) {
    if (asApplianceError(error).code !== 'disk_full' || !new Ballast(paths.lib).secure()) throw error;
    return openReadOnly(paths.state, stateModules);
  }
}
