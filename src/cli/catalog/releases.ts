import { acceptMovedTag, detach, policy, strategy, tag, wait } from './shared.ts';
import type { VerbSpec } from './spec.ts';

/** Verbs about releases and rollouts. */
export const releasesVerbs = {
  deploy: {
    summary: 'bring a version into service without dropping a request',
    group: 'releases',
    gate: 'act',
    args: [tag],
    options: {
      policy,
      strategy,
      'accept-moved-tag': acceptMovedTag,
      'skip-backup': { help: 'go on without the backup that comes before the migration; stands in the audit' },
      detach,
      wait,
    },
    about:
      'Builds or loads the images, starts the idle colour, waits until it is proven healthy and shifts the traffic. A failure before the shift leaves production untouched, a failure after it shifts back. The last line says what happened and how long it took. Ctrl-C detaches: an agent goes on; without an agent the operation is taken back. With a policy, traffic rises in stages; each is held for its time and passes only when its gates do. A trigger takes the release back at once (exit status 1); a stage that stays inconclusive beyond its patience does too (exit status 4). A rollout survives a restart of the agent.',
    examples: [
      'appliance deploy v1.0',
      'appliance deploy v1.0 --policy flash',
      'appliance deploy v1.0 --wait 10m',
      'appliance deploy v1.0 --json',
    ],
  },
  plan: {
    summary: 'show what a deploy would do and change nothing',
    group: 'releases',
    gate: 'look',
    args: [tag],
    options: { policy, strategy, 'accept-moved-tag': acceptMovedTag },
    about: 'Prints what changes (images, environment keys, topology, schema), the steps, predicted time and downtime.',
    examples: ['appliance plan v1.0', 'appliance plan v1.0 --policy mlops'],
  },
  pause: {
    summary: 'hold a running rollout at the share it has',
    group: 'releases',
    gate: 'act',
    about:
      'Nothing rises until resume or promote; the time of the stage stands still. Its triggers still take it back.',
  },
  resume: { summary: 'let a paused rollout go on', group: 'releases', gate: 'act' },
  promote: {
    summary: 'pass the stage that a rollout is in, whatever its gates say',
    group: 'releases',
    gate: 'act',
    options: { all: { help: 'pass every stage that is left, the watch after the shift included' } },
    about: 'For a stage that lacks samples, or a gate that a person can judge better. A trigger that fires still wins.',
  },
  abort: {
    summary: 'take a running rollout, or a deploy before its first request, back at once',
    group: 'releases',
    gate: 'act',
    options: { detach },
    about:
      'All traffic goes to the release before it within a second; then that release is proven healthy. Works without an agent too, when one died in the middle of a rollout.',
  },
  rollback: {
    summary: 'go back to an earlier version, in about a second while it is warm',
    group: 'releases',
    gate: 'act',
    args: [{ name: 'tag', completes: 'tag', help: 'release to go back to; default: the one before the live one' }],
    options: {
      'restore-data': {
        value: 'SNAPSHOT',
        // The id of a snapshot, or its beginning. A tag may look like a day, so the T is part of it.
        optional: /^(?:latest|\d{8}T\d{0,6}Z?(?:-[0-9a-f]{0,4})?)$/,
        help: 'restore its data too, with a downtime; without a value the newest snapshot that the release can read',
      },
      plan: { help: 'show the steps and change nothing' },
      detach,
      wait,
    },
    about:
      'Restores the whole release: images, environment, topology. Refuses when the old release cannot read the schema of the database, and says both numbers and the snapshot that would help. With --restore-data that snapshot is restored after a safety snapshot, behind the maintenance page.',
    examples: [
      'appliance rollback',
      'appliance rollback v0.9 --plan',
      'appliance rollback v0.9',
      'appliance rollback v0.9 --restore-data',
      'appliance rollback v0.9 --restore-data 20261121T020000Z-1f3c --plan',
    ],
  },
  releases: {
    summary: 'list the releases: what is live, warm, kept or gone',
    group: 'releases',
    gate: 'look',
    examples: ['appliance releases', 'appliance releases --json'],
  },
  'releases show': {
    summary: 'everything about one release: digests, services, environment keys, history',
    group: 'releases',
    gate: 'look',
    args: [tag],
  },
  'releases diff': {
    summary: 'what differs between two releases',
    group: 'releases',
    gate: 'look',
    args: [
      { name: 'from', required: true, completes: 'tag', help: 'the one release' },
      { name: 'to', required: true, completes: 'tag', help: 'the other release' },
    ],
    examples: ['appliance releases diff v0.9 v1.0'],
  },
  'releases pin': {
    summary: 'keep the images of a release whatever retention says',
    group: 'releases',
    gate: 'act',
    args: [tag],
  },
  'releases unpin': {
    summary: 'let retention decide about a release again',
    group: 'releases',
    gate: 'act',
    args: [tag],
  },
  'releases prune': {
    summary: 'remove the images that retention no longer keeps',
    group: 'releases',
    gate: 'act',
    options: { wait },
    about: 'Never touches releases that are live, warm or pinned.',
  },
  'bundle create': {
    summary: 'write a release and its images into one file, for a host without internet',
    group: 'releases',
    gate: 'named',
    args: [{ name: 'tag', required: true, completes: 'tag', help: 'a release that was deployed or built here' }],
    options: {
      output: { short: 'o', value: 'FILE', help: 'where to write it; default: TAG.bundle.tar here' },
      wait,
    },
    about:
      'Holds exactly the images that the release pins, each layer once, and its tag with the history, with a hash of each. No environment, no secrets, no data, no models and no appliance.yaml: the other host has its own. What a build has put into an image is in it. The file appears when it is complete; it needs no network, and a live release goes on serving.',
    examples: ['appliance bundle create v1.0', 'appliance bundle create v1.0 --output /mnt/usb/v1.0.tar'],
  },
  'bundle load': {
    summary: 'prove such a file and take it over; then deploy its tag',
    group: 'releases',
    gate: 'named',
    args: [{ name: 'file', required: true, help: 'file that bundle create has written' }],
    options: { plan: { help: 'prove everything, say what would be loaded, and change nothing' }, wait },
    about:
      'Before anything is loaded: names, order, sizes and hashes of all that is in the file, the platform, the space, and that the tag names no other commit here (exit status 2 otherwise). Loaded again it changes nothing; one that was cut short is run again. Hashes prove that the file is whole, not who made it: compare the sha256 that bundle create has printed.',
    examples: ['appliance bundle load v1.0.bundle.tar --plan', 'appliance bundle load v1.0.bundle.tar'],
  },
  follow: {
    summary: 'follow a running operation to its end',
    group: 'releases',
    gate: 'look',
    args: [{ name: 'operation', help: 'its id; default: the one that runs now' }],
    about: 'Ends with the exit status of the operation. Ctrl-C stops following, never the operation.',
  },
  operations: { summary: 'list past operations, the newest first', group: 'releases', gate: 'look' },
} as const satisfies Record<string, VerbSpec>;
