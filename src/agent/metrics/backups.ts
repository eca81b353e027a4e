import { Gauge, type Registry } from 'prom-client';

/** What is told of backups. Times are seconds since 1970. */
export interface BackupReading {
  /** Component → when it was last backed up. */
  readonly success: ReadonlyMap<string, number>;
  /** Component → bytes in the newest backup. */
  readonly bytes: ReadonlyMap<string, number>;
  /** The last restore that was proven, what it took and how old its snapshot was; both in seconds. */
  readonly proven: { readonly at: number; readonly seconds: number; readonly ageSeconds: number } | undefined;
  /** Of the last drill. */
  readonly verdict: 'pass' | 'fail' | 'inconclusive' | undefined;
  /** Off-site target → when a copy last reached it. */
  readonly offsite: readonly (readonly [string, number])[];
  readonly jobs: readonly {
    readonly name: string;
    readonly run: number | undefined;
    readonly success: number | undefined;
    readonly overdueSeconds: number;
  }[];
  /** Seconds that a restore may take, and that a backup may be old. */
  readonly limits: { readonly rto: number; readonly rpo: number };
}

const verdicts = { pass: 1, inconclusive: 0, fail: -1 } as const;

/** Backups, their proofs, and what runs by the clock (CONTRACT "Metrics of the agent"; S1-60, S4-53). */
export class BackupMetrics {
  readonly #registry: Registry;
  readonly #gauges = new Map<string, Gauge>();

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  set({ success, bytes, proven, verdict, offsite, jobs, limits }: BackupReading): void {
    this.#one('backup_last_success_timestamp_seconds', 'When a part was last backed up.', 'component', success);
    this.#one('backup_bytes', 'Size of a part in the newest backup.', 'component', bytes);
    this.#one('backup_offsite_last_success_timestamp_seconds', 'When a copy last reached a target.', 'target', offsite);
    this.#one('schedule_last_run_timestamp_seconds', 'When a job last ended, however.', 'job', by(jobs, 'run'));
    this.#one('schedule_last_success_timestamp_seconds', 'When a job last succeeded.', 'job', by(jobs, 'success'));
    this.#one(
      'schedule_overdue_seconds',
      'Since when a run is missing that was due; 0 while none is.',
      'job',
      by(jobs, 'overdueSeconds'),
    );
    this.#value('backup_rto_limit_seconds', 'Time that a restore may take.', limits.rto);
    this.#value('backup_rpo_limit_seconds', 'Age that the newest backup may have.', limits.rpo);
    this.#value(
      'backup_drill_verdict',
      'The last drill: 1 pass, 0 inconclusive, -1 fail.',
      verdict && verdicts[verdict],
    );
    this.#value('backup_last_proven_restore_timestamp_seconds', 'When a restore was last proven.', proven?.at);
    this.#value('backup_restore_duration_seconds', 'What the last proven restore took (RTO).', proven?.seconds);
    this.#value('backup_restore_age_seconds', 'How old the snapshot of that restore was (RPO).', proven?.ageSeconds);
  }

  #one(name: string, help: string, label: string, values: Iterable<readonly [string, number]>): void {
    const gauge = this.#gauge(name, help, [label]);
    gauge.reset();
    for (const [key, value] of values) gauge.set({ [label]: key }, value);
  }

  /** A value that is not known yet has no series: an alert must not take it for a zero. */
  #value(name: string, help: string, value: number | undefined): void {
    if (value !== undefined) this.#gauge(name, help, []).set(value);
  }

  #gauge(name: string, help: string, labelNames: string[]): Gauge {
    const known = this.#gauges.get(name);
    if (known) return known;
    const gauge = new Gauge({ name: `appliance_${name}`, help, labelNames, registers: [this.#registry] });
    this.#gauges.set(name, gauge);
    return gauge;
  }
}

function by(jobs: BackupReading['jobs'], key: 'run' | 'success' | 'overdueSeconds'): [string, number][] {
  return jobs.flatMap((job) => (job[key] === undefined ? [] : [[job.name, job[key]]]));
}
