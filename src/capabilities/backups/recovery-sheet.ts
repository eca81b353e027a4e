import type { ResticTarget } from '../../host/restic.ts';

export interface SheetFacts {
  readonly name: string;
  readonly repository: string;
  readonly offsite: readonly ResticTarget[];
  /** Left out where the sheet is only to be read. */
  readonly key: string | null;
  /** RFC 3339. */
  readonly time: string;
}

/**
 * The sheet to print and lock away: how to get everything back with plain restic and no appliance at all (S4-53).
 * It holds no secret but the key, and that only when it is given.
 */
export function recoverySheet({ name, repository, offsite, key, time }: SheetFacts): string {
  const places = [
    `  local     ${repository}`,
    ...offsite.map(({ name: label, target }) => `  ${label.padEnd(9)} ${target.replace(/\/\/[^/@]*@/, '//***@')}`),
  ];
  return `RECOVERY SHEET of the appliance ${name}                                     ${time}

Key (without it nobody opens the backups, the makers of this program included):

  ${key ?? '____-____-____-____-____-____-____-____   (write it here; it is shown once)'}

Where the backups are:

${places.join('\n')}

A. With this program, on a new host
  1. sudo ./install.sh
  2. sudo appliance backup recover REPOSITORY --key-file FILE      (FILE holds the key)

B. With plain restic 0.14 or newer and nothing else (https://restic.net, or: apt install restic)
  1. restic -r REPOSITORY snapshots                                (asks for the key, with its dashes)
  2. restic -r REPOSITORY restore latest --tag appliance:${name} --target ./restored
     restored/snapshot/manifest.json         what is in it, with hashes and rows of each table
     restored/snapshot/databases/            pg_restore --clean --if-exists -d DATABASE FILE.dump
     restored/snapshot/databases/*/roles.sql psql -f FILE (before the databases)
     restored/snapshot/sqlite/               registry.db and state.db: remove old -wal and -shm files first
     restored/models/                        put it in place of the models directory
     restored/snapshot/config/               appliance.yaml, policies, environment and secrets
     restored/snapshot/releases/             source, images and environment of each release
     restored/snapshot/persistent/           other directories of the application
     restored/snapshot/certificates/         certificates and their keys
     restored/snapshot/audit/                older entries of the audit
  3. restic -r REPOSITORY check --read-data                         (proves that it is whole)

Prove today that this key works: sudo appliance backup key --prove
`;
}
