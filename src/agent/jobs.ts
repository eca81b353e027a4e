import { weekdays } from '../config/backups.ts';
import type { Config } from '../config/schema.ts';
import { ApplianceError } from '../lib/errors.ts';
import { hostZone, isZone } from '../lib/local-time.ts';
import { planNightly } from '../recipes/nightly.ts';
import type { Backups } from './backups.ts';
import type { Drills } from './drills.ts';
import type { Job } from './schedule.ts';

export interface JobParts {
  readonly config: Pick<Config, 'backups'>;
  readonly backups: Pick<Backups, 'plan' | 'planForget' | 'planOffsite'>;
  readonly drills: Pick<Drills, 'plan'>;
  /** Look after certificates, by the clock of a zone. */
  readonly certificates: (zone: string) => readonly Job[];
  /** Looks at the live release, by the clock of a zone. */
  readonly followUps: (zone: string) => Job;
}

/**
 * What runs by the clock: the table of jobs. A capability that wants to run by the clock adds its line here.
 * @throws ApplianceError `config_invalid` for a zone that nobody knows
 */
export function jobsOf({ config, backups, drills, certificates, followUps }: JobParts): Job[] {
  const { enabled, at, zone: wanted, drill } = config.backups;
  const zone = wanted ?? hostZone();
  if (!isZone(zone)) {
    throw new ApplianceError('config_invalid', `backups.zone: there is no time zone ${zone}`, {
      left: 'nothing was touched',
      hint: 'write an IANA name such as Europe/Berlin; timedatectl list-timezones shows them',
    });
  }
  return [
    {
      name: 'backup',
      title: drill.nightly ? 'back everything up, prove it, forget what is too old' : 'back everything up',
      schedule: { at: [minutesOf(at)] },
      zone,
      kind: 'nightly',
      enabled,
      prepare: () => {
        const { id, steps } = backups.plan({ kind: 'nightly' });
        const plan = planNightly({
          backup: steps,
          drill: drill.nightly ? drills.plan(id, 'usual') : [],
          retention: backups.planForget(drill.nightly ? id : null, true),
          offsite: backups.planOffsite(),
        });
        return { kind: 'nightly', target: id, origin: null, phases: [async () => plan] };
      },
    },
    {
      name: 'drill',
      title: 'restore the newest backup in depth: every model, every byte',
      schedule: { at: [minutesOf(drill.at)], weekday: weekdays.indexOf(drill.weekday) },
      zone,
      kind: 'backup-drill',
      enabled,
      prepare: () => ({
        kind: 'backup-drill',
        target: 'latest',
        origin: null,
        phases: [async () => drills.plan('latest', 'deep')],
      }),
    },
    ...certificates(zone),
    followUps(zone),
  ];
}

/** Minutes since midnight of `HH:MM`. */
function minutesOf(clock: string): number {
  const [hours = 0, minutes = 0] = clock.split(':').map(Number);
  return hours * 60 + minutes;
}
