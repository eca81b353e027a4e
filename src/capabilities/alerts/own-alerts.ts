import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type Severity, severities } from '../../config/alerts.ts';
import type { Database, Migrations } from '../../host/sqlite.ts';
import { asApplianceError } from '../../lib/errors.ts';

/** Alerts that the agent itself has raised, kept where no Alertmanager is needed to see them. */
export const alertMigrations: Migrations = {
  module: 'alerts',
  scripts: [
    `CREATE TABLE own_alerts (
       id TEXT PRIMARY KEY,
       labels TEXT NOT NULL,
       severity TEXT NOT NULL,
       summary TEXT NOT NULL,
       hint TEXT,
       starts_at INTEGER NOT NULL,
       ends_at INTEGER,
       acknowledged TEXT
     ) STRICT;`,
  ],
};

/** What is wrong, or new, as whoever notices it says. */
export interface AlertDraft {
  /** For example `DeployFailed`. */
  readonly name: string;
  readonly severity: Severity;
  /** One sentence for people. Never a secret: it is sent out. */
  readonly summary: string;
  readonly hint?: string | undefined;
  /** What sets it apart from others of its name: `{ service: "backend" }`. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Milliseconds after which it is no news any more; without it, it goes on until somebody resolves it. */
  readonly lasts?: number;
}

const acknowledgedSchema = z.object({ by: z.string(), until: z.number(), comment: z.string() });
type Acknowledged = z.output<typeof acknowledgedSchema>;

const row = z
  .object({
    id: z.string(),
    labels: z.string(),
    severity: z.enum(severities),
    summary: z.string(),
    hint: z.string().nullable(),
    starts_at: z.number(),
    ends_at: z.number().nullable(),
    acknowledged: z.string().nullable(),
  })
  .transform(({ labels, starts_at, ends_at, acknowledged, ...rest }) => ({
    ...rest,
    labels: z.record(z.string(), z.string()).parse(JSON.parse(labels)),
    startsAt: starts_at,
    endsAt: ends_at,
    acknowledged: acknowledged === null ? null : acknowledgedSchema.parse(JSON.parse(acknowledged)),
  }));
/** Times are milliseconds since 1970; `endsAt` is null while nobody can say. */
export type OwnAlert = z.output<typeof row>;

/** Resolved alerts that are kept, so that Alertmanager can be told of their end. */
const keptResolved = 200;

/** The same name and labels are the same alert, however often it is raised. */
export class OwnAlerts {
  readonly #db: Database;
  /** Label that every alert of this appliance bears. */
  readonly #appliance: string;
  /** What the disk had no room for, by id. */
  readonly #unwritten = new Map<string, OwnAlert>();

  constructor(database: Database, appliance: string) {
    this.#db = database;
    this.#appliance = appliance;
  }

  /**
   * Raises an alert, or brings one that is raised already up to date.
   * @param now milliseconds since 1970
   * @returns whether it is new
   */
  raise(draft: AlertDraft, now: number): boolean {
    const labels = this.#labels(draft);
    const id = idOf(labels);
    const raised = this.#find(id, now);
    this.#keep({
      id,
      labels,
      severity: draft.severity,
      summary: draft.summary,
      hint: draft.hint ?? null,
      startsAt: raised?.startsAt ?? now,
      endsAt: draft.lasts === undefined ? null : now + draft.lasts,
      acknowledged: raised?.acknowledged ?? null,
    });
    return raised === undefined;
  }

  /** Says that what the alerts of a name told of is over. @param about labels that they must bear */
  resolve(name: string, now: number, about: Readonly<Record<string, string>> = {}): void {
    for (const alert of this.active(now)) {
      const same = Object.entries(about).every(([key, value]) => alert.labels[key] === value);
      if (alert.labels.alertname === name && same) this.#keep({ ...alert, endsAt: now });
    }
    this.#written(() => {
      this.#db
        .prepare(
          `DELETE FROM own_alerts WHERE ends_at <= ? AND id NOT IN
             (SELECT id FROM own_alerts ORDER BY starts_at DESC LIMIT ${keptResolved})`,
        )
        .run(now);
    });
  }

  /** What is the matter now, the newest first. */
  active(now: number): OwnAlert[] {
    return this.#all().filter(({ endsAt }) => endsAt === null || endsAt > now);
  }

  /** What has ended since a time. */
  ended(since: number, now: number): OwnAlert[] {
    return this.#all().filter(({ endsAt }) => endsAt !== null && endsAt <= now && endsAt > since);
  }

  /** What was the matter at any moment of a time, the first first. */
  between(from: number, to: number): OwnAlert[] {
    return this.#all()
      .filter(({ startsAt, endsAt }) => startsAt <= to && (endsAt === null || endsAt >= from))
      .reverse();
  }

  acknowledge(id: string, how: Acknowledged): void {
    const alert = this.#all().find((known) => known.id === id);
    if (alert) this.#keep({ ...alert, acknowledged: how });
  }

  /** Writes an alert, and those before it that could not be written. On a full disk it is known all the same. */
  #keep(alert: OwnAlert): void {
    this.#unwritten.set(alert.id, alert);
    for (const { id, labels, severity, summary, hint, startsAt, endsAt, acknowledged } of this.#unwritten.values()) {
      const done = this.#written(() => {
        this.#db
          .prepare(
            `INSERT OR REPLACE INTO own_alerts (id, labels, severity, summary, hint, starts_at, ends_at, acknowledged)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
          )
          .run(
            ...[id, JSON.stringify(labels), severity, summary, hint, startsAt, endsAt],
            acknowledged === null ? null : JSON.stringify(acknowledged),
          );
      });
      if (!done) return;
      this.#unwritten.delete(id);
    }
  }

  /** @returns whether there was room for it */
  #written(write: () => void): boolean {
    try {
      write();
      return true;
    } catch (error) {
      if (asApplianceError(error).code !== 'disk_full') throw error;
      return false;
    }
  }

  #find(id: string, now: number): OwnAlert | undefined {
    return this.active(now).find((alert) => alert.id === id);
  }

  #all(): OwnAlert[] {
    // Someone who reads beside an older writer finds no table yet.
    const known = this.#db.prepare("SELECT 1 FROM sqlite_master WHERE name = 'own_alerts'").get();
    const rows = known === undefined ? [] : z.array(row).parse(this.#db.prepare('SELECT * FROM own_alerts').all());
    const all = new Map([...rows.map((alert) => [alert.id, alert] as const), ...this.#unwritten]);
    return [...all.values()].sort((a, b) => b.startsAt - a.startsAt || (a.id < b.id ? -1 : 1));
  }

  #labels({ name, severity, labels }: AlertDraft): Record<string, string> {
    return { ...labels, alertname: name, severity, appliance: this.#appliance, source: 'agent' };
  }
}

/** Twelve hexadecimal digits that stand for a set of labels. */
export function idOf(labels: Readonly<Record<string, string>>): string {
  const sorted = Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256').update(JSON.stringify(sorted)).digest('hex').slice(0, 12);
}
