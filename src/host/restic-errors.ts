import { ApplianceError } from '../lib/errors.ts';

/** What is told of a run of restic that did not end well. */
export interface ResticFailure {
  readonly exitCode: number;
  readonly outOfMemory: boolean;
  readonly stderr: string;
  /** Name of the target, for people. */
  readonly target: string;
  /** What it was doing, for people: `store the snapshot`. */
  readonly what: string;
}

const left = 'the snapshots before it are untouched';

/** Exit statuses that restic documents (restic.readthedocs.io, "Scripting"). */
const exits = { partial: 3, noRepository: 10, locked: 11, wrongKey: 12 } as const;

type Sign = readonly [RegExp, (failure: ResticFailure, said: string) => ApplianceError];

const damage: Sign = [
  /ciphertext verification failed|hash (?:does not match|mismatch)|invalid data returned|(?:pack|blob|index|tree) [^\n]*(?:not found|does not exist|missing|damaged|truncated)|load\(<(?:data|index|snapshot)\/|repository (?:contains (?:errors|damaged)|could be damaged)|unexpected EOF|error loading (?:tree|index|snapshot)|(?:pack|blob)[^\n]*(?:does not match|contains)/i,
  (f: ResticFailure, said: string) =>
    new ApplianceError('backup_damaged', `the repository ${f.target} is damaged: ${said}`, {
      left: 'nothing of it was removed',
      hint: 'the next backup repairs what the sources still have: appliance backup now; then appliance backup verify',
    }),
];

const unreachable = (sign: RegExp): Sign => [
  sign,
  (f: ResticFailure, said: string) =>
    new ApplianceError('backup_target', `the target ${f.target} does not answer: ${said}`, {
      left,
      hint: 'look at the network and at its credentials; the next run sends what is missing',
    }),
];

/**
 * By then the run has failed, whatever restic does next. It ends by itself, or tries for a quarter of an hour, or waits for
 * ever for its own threads: 3 of 60 backups onto a full disk did (restic 0.18). An interrupt ends all three.
 */
export const noRoomLeft =
  /(?:Save\([^\n]*\) failed|retrying after)[^\n]*(?:no space left on device|disk quota exceeded)/i;

/** Signs of each kind of failure in what restic says, the most telling first. */
const signs = [
  [
    /no space left on device|disk quota exceeded|not enough space/i,
    (f: ResticFailure, said: string) =>
      new ApplianceError('disk_full', `no space was left to ${f.what} (${f.target}): ${said}`, {
        left,
        hint: 'free some space on it, then run the command again; appliance backup prune removes old snapshots',
      }),
  ],
  [
    /\b(?:401|403)\b|permission denied \((?:publickey|password|keyboard)|host key verification failed|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch/i,
    (f: ResticFailure, said: string) =>
      new ApplianceError(
        'backup_target',
        `the target ${f.target} refuses this host, or is not the known one: ${said}`,
        {
          left,
          hint: 'correct its credentials, and its host key if it was changed on purpose; the next run sends what is missing',
        },
      ),
  ],
  [
    /read-only file system|permission denied|operation not permitted/i,
    (f: ResticFailure, said: string) =>
      new ApplianceError('backup_target', `the target ${f.target} cannot be written: ${said}`, {
        left,
        hint: 'mount it for writing and give it to root, then run the command again',
      }),
  ],
  // The end of a session that did not begin is no end of a file.
  unreachable(/unable to start the sftp session|error talking HTTP to rclone/i),
  damage,
  unreachable(
    /dial tcp|no such host|connection (?:refused|reset)|i\/o timeout|network is unreachable|no route to host|TLS handshake|client\.|ssh: |subprocess ssh|context deadline exceeded|EOF$|(?:404|5\d\d) /im,
  ),
] as const satisfies readonly Sign[];

/** Turns a run of restic that did not end well into an error that says what to do. */
export function resticError(failure: ResticFailure): ApplianceError {
  const { exitCode, target, what, stderr } = failure;
  const said = lastWords(stderr);
  if (exitCode === exits.noRepository)
    return new ApplianceError('backup_not_found', `there is no repository of backups at ${target}`, {
      left: 'nothing was touched',
      hint: 'the first backup makes it: appliance backup now; on a new host give the place of the old one',
    });
  if (exitCode === exits.locked)
    return new ApplianceError('backup_locked', `another program is working on the repository ${target}: ${said}`, {
      left,
      hint: 'wait until it is done, then run the command again; a lock without an owner ends after half an hour',
    });
  if (exitCode === exits.wrongKey)
    return new ApplianceError('backup_key', `the key does not open the repository ${target}`, {
      left: 'nothing was touched',
      hint: 'use the key from the recovery sheet: appliance backup key',
    });
  if (failure.outOfMemory)
    return new ApplianceError('backup_failed', `restic had too little memory to ${what} (${target})`, {
      left,
      hint: 'raise backups.limits.memory in appliance.yaml',
    });
  // What it says of a file of the host is no word about the repository, but for its own damage.
  const partial = exitCode === exits.partial;
  for (const [sign, error] of partial ? [damage] : signs) if (sign.test(stderr)) return error(failure, said);
  if (partial)
    return new ApplianceError('backup_failed', `some files could not be read to ${what}: ${said}`, {
      left,
      hint: 'run the command again; if it repeats, look at the files that it names',
    });
  if (exitCode === 137)
    return new ApplianceError('backup_failed', `restic was killed while it was to ${what} (${target})`, {
      left,
      hint: 'run the command again',
    });
  return new ApplianceError('backup_failed', `restic could not ${what} (${target}): ${said} (exit ${exitCode})`, {
    left,
    hint: 'run the command again; appliance backup verify says whether the repository is whole',
  });
}

/** What restic said last, on one line; its JSON messages are unwrapped. */
function lastWords(stderr: string): string {
  const words = stderr
    .split('\n')
    .map((line) => unwrapped(line.trim()))
    // A question and an address say nothing of the reason that stands before them.
    .filter(
      (line) => line !== '' && !/^(?:Is there a repository at|(?:rest|s3|sftp|rclone|b2|azure|gs|swift):\S)/.test(line),
    );
  return words.slice(-2).join('; ').slice(-400) || 'it gave no reason';
}

function unwrapped(line: string): string {
  if (!line.startsWith('{')) return line;
  const text = /"message":"((?:[^"\\]|\\.)*)"/.exec(line)?.[1];
  return text === undefined ? line : text.replaceAll(/\\(?:n|t)/g, ' ').replaceAll(/\\(.)/g, '$1');
}
