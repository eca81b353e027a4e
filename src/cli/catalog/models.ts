import { acceptInconclusive, bake, detach, reason, wait, weight } from './shared.ts';
import type { VerbSpec } from './spec.ts';

/** Verbs about models. */
export const modelsVerbs = {
  'models list': {
    summary: 'list registered versions, the newest first',
    group: 'models',
    gate: 'look',
    args: [{ name: 'name', help: 'only versions of this model' }],
    options: {
      state: { value: 'STATE', choices: ['registered', 'validated', 'production', 'archived'], help: 'only these' },
      limit: { short: 'n', value: 'COUNT', help: 'so many; default: 50' },
      before: { value: 'VERSION', help: 'only those that were registered before this one: the next page' },
    },
    examples: ['appliance models list', 'appliance models list --state production --json'],
  },
  'models show': {
    summary: 'all about one version: files, metrics and their course, features, history',
    group: 'models',
    gate: 'look',
    args: [{ name: 'version', help: 'VERSION, NAME@VERSION or an alias; default: production' }],
    examples: ['appliance models show', 'appliance models show latest'],
  },
  'models add': {
    summary: 'register a directory as a version that never changes again',
    group: 'models',
    gate: 'act',
    args: [{ name: 'directory', required: true, help: 'directory on this host with manifest.json and the files' }],
    options: { policy: { value: 'NAME', help: 'whose required files it must have; default: the policy of deploys' } },
    about:
      'Copies the files, hashes them meanwhile, compares them with the manifest and registers all of it or nothing. Name and version stand in the manifest. The same bytes again change nothing; a label that is used is refused for other bytes.',
    examples: ['appliance models add ./candidate'],
  },
  'models verify': {
    summary: 'read the files of a version and compare them with what was registered',
    group: 'models',
    gate: 'look',
    args: [{ name: 'version', help: 'default: every version in production or validated' }],
    options: { repair: { help: 'set a damaged registry aside and register what lies in the models directory, first' } },
    about:
      'Looks at the registry itself too. Exit status 0, 3 or 4 for the verdict pass, fail or inconclusive. What a registry alone knew, such as reports of gates and who was production when, is not brought back by --repair: restore a backup where there is one.',
  },
  'models history': {
    summary: 'who was production when, and who registered, refused or archived what',
    group: 'models',
    gate: 'look',
    args: [{ name: 'name', help: 'only this model' }],
    options: { limit: { short: 'n', value: 'COUNT', help: 'so many of the newest entries; default: 50' } },
  },
  'models diff': {
    summary: 'what differs between two versions: metrics, features, libraries, files, sizes',
    group: 'models',
    gate: 'look',
    args: [
      { name: 'from', required: true, help: 'the one version' },
      { name: 'to', required: true, help: 'the other version' },
    ],
    examples: ['appliance models diff production latest'],
  },
  'models archive': {
    summary: 'take a version out of what may be promoted; its files stay without --prune',
    group: 'models',
    gate: 'act',
    args: [{ name: 'version', required: true, help: 'VERSION, NAME@VERSION or an alias' }],
    options: {
      undo: { help: 'take it back in' },
      prune: { help: 'remove its files as well, which frees their space; asks for the version' },
    },
    about:
      'The record stays in any case: metrics, reports, history. Files that were removed come back with models add of the same bytes.',
  },
  'models import': {
    summary: 'register a signed archive, directories, or what is in the models directory',
    group: 'models',
    gate: 'act',
    args: [{ name: 'path', help: 'archive or directory; default: the models directory itself' }],
    options: { trust: { value: 'FINGERPRINT', help: 'trust this key from now on; the export printed it' } },
    about:
      'Of an archive, signature and hashes are proven before anything is unpacked. Of a directory, every version in it or up to two levels below is taken. Without a path, the files that a release brought along become a version, and so do versions that a lost registry had known.',
    examples: ['appliance models import', 'appliance models import ./routing-similarity-2026.2.tar'],
  },
  'models export': {
    summary: 'write one version as a signed archive, for a host without internet',
    group: 'models',
    gate: 'named',
    args: [
      { name: 'version', required: true, help: 'VERSION, NAME@VERSION or an alias' },
      { name: 'file', help: 'default: NAME-VERSION.tar here' },
    ],
    examples: ['appliance models export 2026.2'],
  },
  'models promote': {
    summary: 'test a version against its gates, put it in force and watch it',
    group: 'models',
    gate: 'act',
    args: [{ name: 'version', help: 'VERSION, NAME@VERSION or an alias; default: the one that has a share' }],
    options: { weight, bake, reason, 'accept-inconclusive': acceptInconclusive, detach, wait },
    about:
      'Gates: hashes, a scan of its files, its libraries, a trial in a container of the live image, and the limits of the policy. Then one rename, and the running processes must report that they have loaded it. What fails afterwards takes it back. With a weight, the model in force keeps the rest of the requests, until a promotion without one, or a rollback, ends that; say it again for another share.',
    examples: [
      'appliance models promote 2026.2',
      'appliance models promote latest --bake 10m',
      'appliance models promote 2026.2 --weight 10%',
    ],
  },
  'models rollback': {
    summary: 'put an earlier version in force again',
    group: 'models',
    gate: 'act',
    args: [
      {
        name: 'version',
        help: 'the version to go back to; default: end the share of a version if one has it, else the one before the one in force',
      },
    ],
    options: { reason, detach, wait },
    about: 'No gates: it has passed them once. The running processes must report that they have loaded it.',
    examples: ['appliance models rollback', 'appliance models rollback 2026.1 --reason "worse on brass"'],
  },
  'models retrain': {
    summary: 'let the application train, and promote what comes out if it is better',
    group: 'models',
    gate: 'act',
    options: { bake, reason, 'accept-inconclusive': acceptInconclusive, detach, wait },
    about:
      'What comes out is registered in any case. It is promoted, through all gates, only if its accuracy is higher.',
  },
  'models scan': {
    summary: 'look into model files as an unpickler would, without loading anything',
    group: 'models',
    gate: 'act',
    args: [{ name: 'target', required: true, help: 'a registered version, or a directory' }],
    about:
      'Fails closed: what is not known to hold data alone is refused, also inside of archives and compressed files. Exit status 0 or 3.',
    examples: ['appliance models scan 2026.2', 'appliance models scan ./candidate'],
  },
} as const satisfies Record<string, VerbSpec>;
