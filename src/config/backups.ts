import { z } from 'zod';
import { bytesPattern, durationPattern, parseBytes, parseDuration } from '../lib/units.ts';

const duration = z.string().regex(durationPattern, 'write a duration such as 30m, 6h or 30d').transform(parseDuration);
const bytes = z.string().regex(bytesPattern, 'write a size such as 512MB or 2GiB').transform(parseBytes);
const command = z.array(z.string().min(1)).min(1);
const path = z.string().startsWith('/', 'write an absolute path');

const clockTime = z.string().regex(/^(?:[01]\d|2[0-3]):[0-5]\d$/, 'write HH:MM');

/** In the order of JavaScript's own numbers of weekdays. */
export const weekdays = ['sunday', 'monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday'] as const;

/** How often a snapshot is kept beyond `within`. */
const kept = (count: number, what: string) => z.int().min(0).default(count).describe(what);

const keep = z.strictObject({
  within: duration.prefault('30d').describe('everything that is younger is kept (S1-47)'),
  daily: kept(7, 'days of which the last snapshot is kept'),
  weekly: kept(8, 'weeks of which the last snapshot is kept'),
  monthly: kept(6, 'months of which the last snapshot is kept'),
});

const database = z.strictObject({
  dump: command.describe('run in the container of the service; what it prints is the dump; exit status 0 or it failed'),
  restore: command.describe('run in the container of the service; reads the dump from its standard input'),
  count: command
    .optional()
    .describe('run in the container of the service; prints one line TABLE<tab>ROWS for each table'),
});
export type DatabaseCommands = z.output<typeof database>;

const offsite = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,31}$/, 'use lower-case letters, digits and dashes, starting with a letter')
    .describe('by this name its result is told'),
  target: z
    .string()
    .regex(
      /^(?:\/|(?:s3|sftp|rclone|rest|b2|azure|gs|swift):)./,
      'write /PATH, s3:…, sftp:…, rclone:…, rest:… or another target of restic',
    )
    .describe('where restic keeps the copy (S1-48)'),
  environmentFile: path.optional().describe('file of mode 0600 with the credentials of the target, KEY=VALUE a line'),
  credentials: path
    .optional()
    .describe(
      'directory with `rclone.conf`, or with `ssh_config` and the key and known hosts that it names as /credentials/…',
    ),
});

/** The section `backups:` of appliance.yaml; everything has a default, because an appliance is backed up unless told otherwise. */
export const backupsSchema = z
  .strictObject({
    enabled: z
      .boolean()
      .default(true)
      .describe('false: no nightly backup and none before a deploy; by hand still works'),
    at: clockTime.default('02:00').describe('local time of the nightly backup (S1-46)'),
    zone: z
      .string()
      .min(1)
      .optional()
      .describe('IANA time zone of `at`, such as Europe/Berlin; default: that of the host'),
    beforeDeploy: z
      .enum(['always', 'migrations', 'never'])
      .default('always')
      .describe('whether a deploy begins with a backup of the database (S1-20, S1-11)'),
    repository: path
      .optional()
      .describe('directory of the repository; default: backups/repository in the state directory'),
    keep: keep.prefault({}).describe('how long snapshots are kept'),
    databases: z
      .record(z.string(), database)
      .default({})
      .describe('databases other than PostgreSQL, by service; the same may stand on the service as labels'),
    offsite: z
      .array(offsite)
      .default([])
      .describe('targets that every snapshot is copied to, each with a result of its own'),
    limits: z
      .strictObject({
        cpus: z.number().min(0.1).max(64).default(1).describe('processors that restic may use'),
        memory: bytes.prefault('2GiB').describe('most memory of restic'),
        upload: z.int().min(1).optional().describe('most KiB per second to off-site targets'),
        timeout: duration.prefault('6h').describe('how long one run of restic may take'),
      })
      .prefault({})
      .describe('what a backup may use of the host'),
    drill: z
      .strictObject({
        nightly: z
          .boolean()
          .default(true)
          .describe('whether each nightly backup is restored at once; nothing is forgotten then before it is proven'),
        weekday: z.enum(weekdays).default('sunday').describe('day of the drill in depth'),
        at: clockTime.default('04:00').describe('local time of the drill in depth'),
        memory: bytes.prefault('1GiB').describe('most memory of a throw-away database server'),
        rto: duration.prefault('1h').describe('a restore that takes longer raises an alert'),
        rpo: duration.prefault('26h').describe('a newest backup that is older raises an alert'),
      })
      .prefault({})
      .describe('how backups are proven: restored into throw-away containers (S4-53)'),
    check: z
      .strictObject({
        parts: z
          .int()
          .min(1)
          .max(366)
          .default(14)
          .describe('each nightly run reads back one part of so many; all of the data are read once in as many nights'),
      })
      .prefault({})
      .describe('how the repository is read back'),
  })
  .superRefine(({ offsite: targets }, context) => {
    const seen = new Set<string>();
    for (const [index, { name }] of targets.entries()) {
      if (seen.has(name))
        context.addIssue({ code: 'custom', path: ['offsite', index, 'name'], message: 'is used twice' });
      seen.add(name);
    }
  })
  .describe('backups; left out, the appliance is backed up every night into its own directory');
export type BackupsConfig = z.output<typeof backupsSchema>;
