import type { FollowUpShape } from '../../api/schema.ts';
import { type LiveSince, type Look, lastLook, looksOf, slotsOf } from '../../capabilities/checks/post-deploy/looks.ts';
import { lookAfterStep } from '../../capabilities/checks/post-deploy/step.ts';
import { FollowUpStore } from '../../capabilities/checks/post-deploy/store.ts';
import { sampleDue, type UsageSample } from '../../capabilities/checks/post-deploy/usage.ts';
import type { ReleaseStore } from '../../capabilities/releases/store.ts';
import { loadPolicy } from '../../config/policy-load.ts';
import type { Config } from '../../config/schema.ts';
import type { Database } from '../../host/sqlite.ts';
import { type Clock, timestamp } from '../../lib/clock.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { durationText } from '../../lib/units.ts';
import type { Finding } from '../../lib/verdict.ts';
import type { Reports } from '../../operations/reports.ts';
import type { Alerting } from '../alerting.ts';
import { type ContainerWatch, colourOf, serviceName } from '../containers.ts';
import type { Prepared } from '../operations.ts';
import type { Job } from '../schedule.ts';

export interface FollowUpDeps {
  readonly clock: Pick<Clock, 'now'>;
  readonly database: Database;
  readonly store: Pick<ReleaseStore, 'live' | 'get'>;
  readonly watch: Pick<ContainerWatch, 'readings'>;
  readonly alerting: Pick<Alerting, 'raise' | 'resolve'>;
  readonly reports: Pick<Reports, 'keep'>;
  readonly looks: readonly Look[];
  /** Works through the checklist of the live release. */
  readonly run: (signal: AbortSignal) => Promise<readonly Finding[]>;
}

/** Milliseconds that a look may take. */
const patience = 3 * 60_000;
const failedAlert = 'FollowUpFailed';

/**
 * Looks after the live release: measures its containers, and takes the looks that are due an hour, a day and a week after it
 * went live (S0-58 to S0-60, S1-58 to S1-60). What is due is read from when it went live and from what is written down, so
 * no restart loses a look.
 */
export class FollowUps {
  readonly records: FollowUpStore;
  readonly looks: readonly Look[];
  readonly #deps: FollowUpDeps;

  constructor(deps: FollowUpDeps) {
    this.#deps = deps;
    this.records = new FollowUpStore(deps.database);
    this.looks = deps.looks;
  }

  /** The live release and since when; null before the first deploy. */
  live(): LiveSince | null {
    const live = this.#deps.store.live();
    return live && { release: live.release, since: live.since };
  }

  step() {
    const { clock, run, reports } = this.#deps;
    return lookAfterStep({
      live: () => this.live(),
      run,
      keep: (operation, look, verdict, findings) => {
        reports.keep(operation, 'checks', 'post-deploy', findings);
        this.records.keep(look, look.look, clock.now(), verdict, [...findings]);
        this.#tell(look.release, look.look, findings);
      },
    });
  }

  /** The job of the schedule that takes the looks. @param plan makes the step */
  job(zone: string, plan: ReturnType<FollowUps['step']>['plan']): Job {
    return {
      name: 'post-deploy',
      title: 'look after the live release',
      schedule: {
        slots: () => {
          const live = this.live();
          return live ? slotsOf(live, this.looks) : [];
        },
        words: this.looks
          .map(({ after }) => durationText(after))
          .join(', ')
          .concat(' after a deploy'),
      },
      zone,
      kind: 'post-deploy',
      enabled: true,
      prepare: (_, slot) => this.#prepare(slot, plan),
    };
  }

  /** Measures the containers when it is time to. Only the one writer may call it. */
  sample(): void {
    const live = this.#deps.store.live();
    const now = this.#deps.clock.now();
    if (!live || !sampleDue(live.since, this.samples().at(-1)?.at, now)) return;
    const samples = this.#deps.watch.readings().flatMap(({ detail, usage }): UsageSample[] => {
      const ours = [null, live.colour].includes(colourOf(detail)) && detail.running;
      if (!usage || !ours) return [];
      const { memoryBytes: memory, cpuNanoseconds } = usage;
      return [{ at: Math.round(now), container: serviceName(detail), memory, cpu: cpuNanoseconds / 1e9 }];
    });
    if (samples.length > 0) this.records.sample(samples, live.since, now);
  }

  /** What the containers of the live release have used since it is live. */
  samples(): UsageSample[] {
    const live = this.live();
    return live ? this.records.samples(live.since) : [];
  }

  /** What looks at a release have shown, and those that are to come while it is live. */
  of(release: string): FollowUpShape[] {
    const live = this.live();
    const taken = this.records.of(release).map(({ look, since, at, verdict, findings }) => {
      const after = this.looks.find(({ name }) => name === look)?.after;
      return { look, due: timestamp(since + (after ?? at - since)), at: timestamp(at), verdict, checks: findings };
    });
    if (live?.release !== release) return taken;
    const done = new Set(this.records.of(release, live.since).map(({ look }) => look));
    const open = this.looks
      .filter(({ name }) => !done.has(name))
      .map(({ name, after }) => ({
        look: name,
        due: timestamp(live.since + after),
        at: null,
        verdict: null,
        checks: [],
      }));
    return [...taken, ...open];
  }

  /** @throws ApplianceError `not_deployed` */
  #prepare(slot: string, plan: ReturnType<FollowUps['step']>['plan']): Prepared {
    const live = this.live();
    if (!live) {
      throw new ApplianceError('not_deployed', 'nothing is live that could be looked after', {
        left: 'nothing was touched',
        hint: 'deploy a release first: appliance deploy TAG',
      });
    }
    const named = this.looks.find((_, index) => slotsOf(live, this.looks)[index]?.key === slot);
    const look = named ?? lastLook(live.since, this.looks, this.#deps.clock.now());
    const { tag } = this.#deps.store.get(live.release);
    const title = `look at ${tag}${look ? `, ${durationText(look.after)} after it went live` : ' before its first hour is over'}`;
    const cause = 'what a deploy breaks may show later (S0-58 to S0-60)';
    const step = plan({ ...live, look: look?.name ?? 'early' }, { title, cause, deadline: patience });
    return { kind: 'post-deploy', target: tag, origin: null, phases: [async () => [step]] };
  }

  /** Somebody is told of what fails; a look at which all is well ends that. What could not be seen changes nothing. */
  #tell(release: string, look: string, findings: readonly Finding[]): void {
    const failed = findings.filter(({ verdict }) => verdict === 'fail');
    if (failed.length === 0) {
      this.#deps.alerting.resolve(failedAlert);
      return;
    }
    const { tag } = this.#deps.store.get(release);
    const words = failed.map(({ id, observed }) => `${id.replace(/^post-deploy\./, '')}: ${observed}`).join('; ');
    this.#deps.alerting.raise({
      name: failedAlert,
      severity: 'warning',
      summary: `${tag} does not pass the look after its ${look}: ${words}`.slice(0, 600),
      hint: 'appliance check post-deploy',
    });
  }
}

/** Looks that are to be taken by the policy of deploys; one that cannot be read asks for none of its own. */
export async function wantedLooks({ deploy }: Pick<Config, 'deploy'>, configPath: string): Promise<Look[]> {
  const loaded =
    deploy.policy === undefined ? undefined : await loadPolicy(deploy.policy, configPath).catch(() => undefined);
  return looksOf(loaded?.policy.reviews ?? []);
}
