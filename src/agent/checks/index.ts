import { isAbsolute } from 'node:path';
import type { CheckEvent, CheckReport, CheckSeen, CheckShape } from '../../api/checks.ts';
import type { ParsedInput } from '../../api/routes.ts';
import {
  type Check,
  type CheckGroup,
  type CheckResult,
  checkGroups,
  inconclusive,
} from '../../capabilities/checks/check.ts';
import { configChecks } from '../../capabilities/checks/config/index.ts';
import { loadChecks } from '../../capabilities/checks/load/index.ts';
import { lighthouseCheck } from '../../capabilities/checks/load/lighthouse.ts';
import { commandCheck } from '../../capabilities/checks/own-commands.ts';
import { preflightChecks } from '../../capabilities/checks/preflight/index.ts';
import { runChecks } from '../../capabilities/checks/run-checks.ts';
import { securityChecks } from '../../capabilities/checks/security/index.ts';
import type { SmokeArgs } from '../../capabilities/checks/smoke/step.ts';
import { VerdictStore } from '../../capabilities/checks/verdict-store.ts';
import type { PolicyDemands } from '../../config/policy-demands.ts';
import { loadPolicy } from '../../config/policy-load.ts';
import type { Config } from '../../config/schema.ts';
import { loadSequence } from '../../config/sequence-load.ts';
import type { Database } from '../../host/sqlite.ts';
import { timestamp } from '../../lib/clock.ts';
import type { Colour } from '../../lib/colour.ts';
import { telling } from '../../lib/telling.ts';
import { combine, type Finding } from '../../lib/verdict.ts';
import { configHands } from './config-hands.ts';
import { loadHands } from './load-hands.ts';
import type { CheckParts } from './parts.ts';
import { preflightHands } from './preflight-hands.ts';
import { securityHands } from './security-hands.ts';
import { seenChecks } from './seen.ts';
import { type Subject, sequencesOf, smokeChecks } from './smoke-hands.ts';
import { repositoryHands } from './source-hands.ts';

/** What is looked at, and by whose demands. */
interface Scope {
  readonly policy: string | undefined;
  readonly demands: PolicyDemands | undefined;
  /** The release that it is about. */
  readonly tag: string | undefined;
  readonly on: 'edge' | Colour;
  /** Whether somebody named the policy for this run. */
  readonly named: boolean;
  /** Whether its list was asked for by itself: then ramps of many minutes are run, and what is still to come is told. */
  readonly alone: boolean;
  readonly progress: (text: string) => void;
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
    const scope: Omit<Scope, 'progress'> = {
      policy,
      demands: await this.#demands(policy),
      tag,
      on: input.on,
      named: input.policy !== undefined,
      alone: input.groups.length === 1,
    };
    const results: CheckResult[] = [];
    for (const group of checkGroups.filter((name) => input.groups.includes(name))) {
      const running = telling<CheckEvent, CheckResult[]>((tell) =>
        this.#run([group], { ...scope, progress: (text) => tell({ event: 'progress', text }) }, signal, (result) =>
          tell({ event: 'check', check: shapeOf(result) }),
        ),
      );
      results.push(...(yield* running));
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
    const scope: Scope = { policy, demands, tag, on: 'edge', named: false, alone: false, progress: () => undefined };
    const results = await this.#run(['preflight', 'config'], scope, signal);
    this.#verdicts.keep(results, this.#parts.clock.now());
    const { config } = this.#parts;
    // A policy that only alerts are raised by has no say in a deploy.
    const followed = policyName !== undefined || config.deploy.policy !== undefined;
    const refuse = new Set([...(followed ? (demands?.refuse ?? []) : []), ...(config.checks?.refuse ?? [])]);
    const refused = results.filter(
      ({ id, group, verdict }) => verdict === 'fail' && (refuse.has(id) || refuse.has(group)),
    );
    return { findings: results.map(findingOf), refused: refused.map(findingOf) };
  }

  /** How the live release is, some time after its deploy (S0-58 to S0-60). */
  async lookAfter(signal: AbortSignal): Promise<readonly Finding[]> {
    const policy = policyOf(this.#parts.config);
    const demands = await this.#demands(policy);
    const on = 'edge';
    const scope = {
      policy,
      demands,
      tag: undefined,
      on,
      named: false,
      alone: false,
      progress: () => undefined,
    } as const;
    const results = await this.#run(['post-deploy'], scope, signal);
    this.#verdicts.keep(results, this.#parts.clock.now());
    return results.map(findingOf);
  }

  /** The last verdict of each check, for the metric `check_verdict{id}`. */
  latest(): Pick<Finding, 'id' | 'verdict'>[] {
    return this.#verdicts.all();
  }

  /** What each check said last, whoever ran it. */
  seen(): CheckSeen[] {
    return seenChecks(this.#verdicts);
  }

  async #run(
    groups: readonly CheckGroup[],
    scope: Scope,
    signal: AbortSignal,
    onResult?: (result: CheckResult) => void,
  ): Promise<CheckResult[]> {
    const lists = await Promise.all(
      groups.map(async (group) => [...(await this.#checksOf(group, scope)), ...this.#commands(group)]),
    );
    const checks = lists.flat();
    // One load would spoil the figures of another.
    const atOnce = groups.includes('load') ? 1 : checks.length;
    return runChecks(checks, { atOnce, clock: this.#parts.clock, signal, ...(onResult ? { onResult } : {}) });
  }

  async #checksOf(group: CheckGroup, scope: Scope): Promise<Check[]> {
    const { demands, tag } = scope;
    const repository = repositoryHands(this.#parts);
    switch (group) {
      case 'preflight':
        return preflightChecks(preflightHands(this.#parts, repository, tag), demands, tag);
      case 'config':
        return configChecks(configHands(this.#parts, repository, tag), demands);
      case 'smoke':
        return this.#smoke(scope);
      case 'load': {
        const subject = await this.#subject(scope.on);
        if (!subject) return [nothingThere('load', scope.on)];
        const page = `https://${this.#parts.config.edge.https.replace(/^(?=\d+$)/, '127.0.0.1:')}/`;
        return [
          ...loadChecks(demands?.load ?? [], await loadHands(this.#parts, subject, scope.progress), scope.alone),
          ...(demands?.lighthouse ? [lighthouseCheck(page, demands.lighthouse)] : []),
        ];
      }
      case 'security': {
        const subject = await this.#subject('edge');
        return subject ? securityChecks(securityHands(this.#parts, subject)) : [nothingThere('security', 'edge')];
      }
      case 'post-deploy': {
        const checks = await this.#parts.postDeploy(scope.policy, scope.alone);
        return checks.length > 0 ? checks : [nothingThere('post-deploy', 'edge')];
      }
    }
  }

  /** Own commands of a checklist, run where the source lies. */
  #commands(group: CheckGroup): Check[] {
    const { config, paths } = this.#parts;
    const directory = isAbsolute(config.source.repository) ? config.source.repository : paths.lib;
    return (config.checks?.commands ?? [])
      .filter((one) => one.group === group)
      .map((one) => commandCheck(one, directory));
  }

  /** Sequences of requests in a deploy: what was seen, whatever it is. @throws ApplianceError `config_invalid` */
  async smoke({ sequences, ...subject }: SmokeArgs, signal: AbortSignal): Promise<Finding[]> {
    const checks = await smokeChecks(this.#parts, subject, await sequencesOf(this.#parts, sequences), undefined, false);
    const results = await runChecks(checks, { clock: this.#parts.clock, signal });
    this.#verdicts.keep(results, this.#parts.clock.now());
    return results.map(findingOf);
  }

  /** @throws ApplianceError `config_invalid` for a sequence in appliance.yaml that nobody knows */
  async assertSequences(): Promise<void> {
    await sequencesOf(this.#parts, this.#parts.config.checks?.smoke ?? []);
  }

  async #smoke({ on, policy, demands, named }: Scope): Promise<Check[]> {
    const { config } = this.#parts;
    const subject = await this.#subject(on);
    if (!subject) return [nothingThere('smoke', on)];
    const own = config.checks?.smoke ?? [];
    const shipped = policy !== undefined && (named || own.length === 0) && (await loadSequence(policy)) ? [policy] : [];
    const sequences = await sequencesOf(this.#parts, [...new Set([...own, ...shipped])]);
    return smokeChecks(this.#parts, subject, sequences, demands, true);
  }

  /** The release that answers at a place. */
  async #subject(on: Scope['on']): Promise<Subject | undefined> {
    const { store, observer } = this.#parts;
    const live = store.live();
    if (on === 'edge') return live ? { release: live.release, colour: live.colour, through: 'edge' } : undefined;
    const [release] = [...(await observer.occupants())].find(([, colour]) => colour === on) ?? [];
    return release === undefined ? undefined : { release, colour: on, through: 'colour' };
  }

  async #demands(policy: string | undefined): Promise<PolicyDemands | undefined> {
    return policy === undefined ? undefined : (await loadPolicy(policy, this.#parts.paths.config)).policy.checks;
  }
}

/** What stands for a checklist that has nothing to look at. */
function nothingThere(group: CheckGroup, on: Scope['on']): Check {
  return {
    id: `${group}.release`,
    group,
    requirement: [],
    about: 'a release',
    expected: 'one that runs',
    hint: 'appliance deploy TAG',
    look: async () => inconclusive(on === 'edge' ? 'nothing is live yet' : `nothing runs on ${on}`),
  };
}

/** Whose demands are asked when nobody says. */
export function policyOf({ deploy, monitoring }: Config): string | undefined {
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
