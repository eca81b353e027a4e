import type { CollectDeps } from './collect.ts';
import type { KeyFile } from './key.ts';
import type { Repository } from './repository.ts';

/** What the steps of backups need. */
export interface BackupStepDeps extends CollectDeps {
  readonly local: Repository;
  readonly offsite: readonly Repository[];
  readonly key: KeyFile;
}
