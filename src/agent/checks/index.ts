import type { CheckEvent, CheckReport, CheckShape } from '../../api/checks.ts';
import type { ParsedInput } from '../../api/routes.ts';
import { type Check, type CheckGroup, type CheckResult, checkGroups } from '../../capabilities/checks/check.ts';
import { configChecks } from '../../capabilities/checks/config/index.ts';
import { preflightChecks } from '../../capabilities/checks/preflight/index.ts';
import { runChecks } from '../../capabilities/checks/run-checks.ts';
import { VerdictStore } from '../../capabilities/checks/verdict-store.ts';
import type { PolicyDemands } from '../../config/policy-demands.ts';
import { loadPolicy } from '../../config/policy-load.ts';
import type { Config } from '../../config/schema.ts';
import type { Database } from '../../host/sqlite.ts';
import { timestamp } from '../../lib/clock.ts';
import { combine, type Finding } from '../../lib/verdict.ts';
import { configHands } from './config-hands.ts';
import type { CheckParts } from './parts.ts';
import { preflightHands } from './preflight-hands.ts';
import { repositoryHands } from './source-hands.ts';

/** What is looked at, and by whose demands. */
interface Scope {
  readonly policy: string | undefined;
  readonly demands: PolicyDemands | undefined;
  /** The release that it is about. */
  readonly tag: string | undefined;
}

/** The checklists of one appliance: gives checks their hands, runs them and keeps what they say. */
export class Checks {
  readonly #parts: CheckParts;
  readonly #verdicts: VerdictStore;

  constructor(parts: CheckParts, database: Database) {
    this.#parts = parts;
    this.#verdicts = new VerdictStore(database);
  }

  /** Runs checklists one after the other, each check beside the others of its list. */
  async *stream(input: ParsedInput<'check'>, signal: AbortSignal): AsyncGenerator<CheckEvent> {
    const { clock, store } = this.#parts;
    const began = clock.monotonic();
    const policy = input.policy ?? policyOf(this.#parts.config);
    const live = store.live();
    const tag = input.tag ?? (live ? store.get(live.release).tag : undefined);
    const scope = { policy, demands: await this.#demands(policy), tag };
    const results: CheckResult[] = [];
    for (const group of checkGroups.filter((name) => input.groups.includes(name))) {
      const waiting: CheckEvent[] = [];
      let wake = (): void => undefined;
      const running = this.#run([group], scope, signal, (result) => {
        waiting.push({ event: 'check', check: shapeOf(result) });
        wake();
      }).finally(() => wake());
      let done = false;
      const ended = running.then(
        () => {
          done = true;
        },
        () => {
          done = true;
        },
      );
      while (!done || waiting.length > 0) {
        const next = waiting.shift();
        if (next) yield next;
        else await Promise.race([ended, new Promise<void>((resolve) => (wake = resolve))]);
      }
      results.push(...(await running));
    }
    this.#verdicts.keep(results, clock.now());
    const report: CheckReport = {
      verdict: combine(results.map(({ verdict }) => verdict)),
      policy: policy ?? null,
      release: tag ?? null,
      time: timestamp(clock.now()),
      seconds: Math.round(clock.monotonic() - began) / 1_000,
      checks: results.map(shapeOf),
    };
    yield { event: 'report', report };
  }

  /**
   * What is looked at before a release is deployed (S0-4 to S0-9, S1-3 to S1-16).
   * @param policyName default: the policy of deploys
   * @returns what was seen, and which of it keeps the deploy from beginning (`checks.refuse` of the policy)
   */
  async beforeDeploy(
    tag: string,
    policyName: string | undefined,
    signal: AbortSignal,
  ): Promise<{ readonly findings: readonly Finding[]; readonly refused: readonly Finding[] }> {
    const policy = policyName ?? policyOf(this.#parts.config);
    const demands = await this.#demands(policy);
    const results = await this.#run(['preflight', 'config'], { policy, demands, tag }, signal);
    this.#verdicts.keep(results, this.#parts.clock.now());
    const refuse = new Set(
      policyName === undefined && this.#parts.config.deploy.policy === undefined ? [] : demands?.refuse,
    );
    const refused = results.filter(
      ({ id, group, verdict }) => verdict === 'fail' && (refuse.has(id) || refuse.has(group)),
    );
    return { findings: results.map(findingOf), refused: refused.map(findingOf) };
  }

  /** The last verdict of each check, for the metric `check_verdict{id}`. */
  latest(): Pick<Finding, 'id' | 'verdict'>[] {
    return this.#verdicts.all();
  }

  async #run(
    groups: readonly CheckGroup[],
    scope: Scope,
    signal: AbortSignal,
    onResult?: (result: CheckResult) => void,
  ): Promise<CheckResult[]> {
    const checks = groups.flatMap((group) => this.#checksOf(group, scope));
    return runChecks(checks, { clock: this.#parts.clock, signal, ...(onResult ? { onResult } : {}) });
  }

  #checksOf(group: CheckGroup, { demands, tag }: Scope): Check[] {
    const repository = repositoryHands(this.#parts);
    switch (group) {
      case 'preflight':
        return preflightChecks(preflightHands(this.#parts, repository, tag), demands, tag);
      case 'config':
        return configChecks(configHands(this.#parts, repository, tag), demands);
    }
  }

  async #demands(policy: string | undefined): Promise<PolicyDemands | undefined> {
    return policy === undefined ? undefined : (await loadPolicy(policy, this.#parts.paths.config)).policy.checks;
  }
}

/** Whose demands are asked when nobody says. */
function policyOf({ deploy, monitoring }: Config): string | undefined {
  return deploy.policy ?? monitoring?.policies?.[0];
}

function shapeOf({ requirement, ...result }: CheckResult): CheckShape {
  const { id, group, about, verdict, observed, expected, samples, needed, hint, seconds } = result;
  return {
    id,
    group,
    requirement: requirement.join(', '),
    about,
    verdict,
    observed,
    expected,
    ...(samples === undefined ? {} : { samples }),
    ...(needed === undefined ? {} : { needed }),
    ...(hint === undefined ? {} : { hint }),
    seconds,
  };
}

function findingOf({ id, verdict, observed, expected, samples, needed, hint }: CheckResult): Finding {
  return { id, verdict, observed, expected, samples, needed, hint };
}
