import { detach, wait } from './shared.ts';
import type { VerbSpec } from './spec.ts';

const snapshotHelp = 'id of the snapshot, its beginning, or latest';

/** Verbs about backups. */
export const backupsVerbs = {
  'backup now': {
    summary: 'make a snapshot of everything now',
    group: 'backups',
    gate: 'act',
    options: {
      protect: { help: 'keep it whatever the retention policy says' },
      'accept-missing': { help: 'go on although a database of the snapshot before has no container any more' },
      detach,
      wait,
    },
    about:
      'Databases, models, registry, releases, configuration, secrets and certificates, bound by one manifest with hashes and rows; stored encrypted, read back, and copied to every off-site target. A disk that is too small is refused before anything is written.',
    examples: ['appliance backup now', 'appliance backup now --protect --json'],
  },
  'backup list': {
    summary: 'snapshots, when each was proven, and why retention keeps it',
    group: 'backups',
    gate: 'look',
    examples: ['appliance backup list', 'appliance backup list --json'],
  },
  'backup show': {
    summary: 'what is in one snapshot: parts with hashes, rows of each table, models',
    group: 'backups',
    gate: 'look',
    args: [{ name: 'snapshot', help: `${snapshotHelp} (the default)` }],
    examples: ['appliance backup show', 'appliance backup show 20261121T020000Z-1f3c'],
  },
  'backup verify': {
    summary: 'read the whole repository back, or one snapshot',
    group: 'backups',
    gate: 'act',
    args: [{ name: 'snapshot', help: 'id of the snapshot, its beginning, or latest; default: the whole repository' }],
    options: { wait },
    about:
      'Of one snapshot, each file is compared with the hash in its manifest. What is found broken is repaired by the next backup, as far as the sources still have it. It takes its turn with backups and deploys; a rollback does not wait for it and ends it. Exit status 0 or 3.',
    examples: ['appliance backup verify', 'appliance backup verify latest'],
  },
  'backup drill': {
    summary: 'restore a snapshot into throw-away containers and prove that it is whole',
    group: 'backups',
    gate: 'act',
    args: [{ name: 'snapshot', help: `${snapshotHelp} (the default)` }],
    options: { deep: { help: 'load every model too, and read back every byte of the repository' }, detach, wait },
    about:
      'A fresh database server without network is filled by pg_restore and its rows are counted; SQLite databases and all hashes are checked, and a model is loaded in the live image. Nothing in use is touched. It runs after every nightly backup, and in depth every week. Exit status 0, 3 or 4 for the verdict pass, fail or inconclusive; backup show has the report.',
    examples: ['appliance backup drill', 'appliance backup drill --deep'],
  },
  'backup protect': {
    summary: 'keep a snapshot whatever the retention policy says',
    group: 'backups',
    gate: 'act',
    args: [{ name: 'snapshot', required: true, help: snapshotHelp }],
    options: { wait },
  },
  'backup unprotect': {
    summary: 'let the retention policy decide again',
    group: 'backups',
    gate: 'act',
    args: [{ name: 'snapshot', required: true, help: snapshotHelp }],
    options: { wait },
  },
  'backup key': {
    summary: 'the recovery sheet, once with the key; or prove that a key opens the backups',
    group: 'backups',
    gate: 'named',
    options: { prove: { help: 'type a key, or pipe it in, and try it on the repository' } },
    about:
      'The key is made at installation and shown once, with what to do on a host that has nothing but restic. Without the key nobody opens the backups.',
    examples: ['appliance backup key', 'appliance backup key --prove'],
  },
  'backup export': {
    summary: 'write a snapshot as plain files, for the day when nobody has restic',
    group: 'backups',
    gate: 'named',
    args: [
      { name: 'snapshot', required: true, help: snapshotHelp },
      { name: 'directory', help: 'empty, or not there yet in one that is; default: exports/ID in the state directory' },
    ],
    about:
      'db.sql, roles.sql, models.tar.zst, registry.db, .env, manifest.json and the rest as directories. They are not encrypted and hold secrets; only root can read them.',
    examples: ['appliance backup export latest /mnt/usb/appliance'],
  },
  'backup prune': {
    summary: 'forget the snapshots that the retention policy does not keep',
    group: 'backups',
    gate: 'act',
    options: { wait },
    about:
      'backup list says which. The newest, the last that was proven and protected ones always stay; after a failed backup, and while the repository is damaged, nothing is forgotten.',
  },
  'backup recover': {
    summary: 'make a bare host the appliance of a snapshot',
    group: 'backups',
    gate: 'named',
    args: [{ name: 'repository', required: true, help: 'directory of the repository, or a target of restic' }],
    options: {
      'key-file': { value: 'FILE', help: 'file with the recovery key' },
      snapshot: { value: 'ID', help: 'which one; default: the latest' },
      name: { value: 'NAME', help: 'whose snapshots, where the repository holds those of several appliances' },
    },
    about:
      'Brings configuration, secrets, state, releases, models and certificates back, then starts the core, loads the databases and brings the release that was live into service; its images are built again from the sources that the snapshot holds. Refuses on a host that has an appliance. Cut short, it goes on where it was when it is typed again. install.sh --restore installs the program first and then does this.',
    examples: ['appliance backup recover /mnt/disk/repository --key-file /root/recovery-key'],
  },
  'backup restore': {
    summary: 'put data of a snapshot in the place of those in use',
    group: 'backups',
    gate: 'act',
    args: [{ name: 'snapshot', required: true, help: 'id of the snapshot, its beginning, or latest' }],
    options: {
      component: {
        value: 'PART',
        choices: ['database', 'models', 'registry', 'config', 'all'],
        help: 'what is restored; default: all',
      },
      plan: { help: 'show what changes, the steps and the downtime, and change nothing' },
      'skip-safety': { help: 'without a snapshot of today first; what is replaced is lost' },
      detach,
      wait,
    },
    about:
      'Makes a safety snapshot of today, brings the snapshot to where a rename puts it in place, compares hashes and rows, and only then exchanges. What serves must prove that it works with it; else all of it is taken back. The release that is live stays: to go back to an older one with its data, rollback TAG --restore-data. Asks for the name of the appliance; --yes for scripts.',
    examples: [
      'appliance backup restore latest --plan',
      'appliance backup restore latest --component database',
      'appliance backup restore 20261121T020000Z-1f3c --yes',
    ],
  },
} as const satisfies Record<string, VerbSpec>;
