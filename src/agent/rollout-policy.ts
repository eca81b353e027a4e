import type { ParsedInput } from '../api/routes.ts';
import { type LoadedPolicy, listPolicies, loadPolicy } from '../config/policy-load.ts';
import { ApplianceError } from '../lib/errors.ts';
import type { RolloutPolicy } from '../recipes/canary.ts';
import type { Strategy } from '../recipes/deploy.ts';
import type { Appliance } from './appliance.ts';

/** How a release is brought into service. */
export interface Way {
  readonly strategy: Strategy;
  /** What lets it pass and what takes it back; null: the plain shift. */
  readonly policy: RolloutPolicy | null;
}

/**
 * What the command says, else what appliance.yaml says. A policy with stages is a canary; with `--strategy blue-green` its
 * stages are left out and only the watch after the shift remains.
 * @throws ApplianceError `usage` when strategy and policy do not go together; `policy_not_found`, `policy_invalid`
 */
export async function wayOf(
  { strategy, policy: named }: Pick<ParsedInput<'deploy'>, 'strategy' | 'policy'>,
  { config, paths }: Pick<Appliance, 'config' | 'paths'>,
): Promise<Way> {
  if (strategy === 'recreate' && named !== undefined)
    throw refused(
      `strategy recreate stops the live release first, so policy ${named} would have nothing to compare with or go back to`,
      'leave out one of the two',
    );
  const base = strategy === undefined ? config.deploy.strategy : strategy === 'canary' ? 'blue-green' : strategy;
  const name = named ?? (base === 'recreate' ? undefined : config.deploy.policy);
  if (name === undefined) {
    if (strategy !== 'canary') return { strategy: base, policy: null };
    throw refused(
      'a canary needs a policy: it says the stages, what lets them pass and what takes the release back',
      `name one with --policy NAME, or set deploy.policy in appliance.yaml; ${await namesWithStages(paths.config)}`,
    );
  }
  const policy = rolloutPolicy(await loadPolicy(name, paths.config));
  if (strategy === 'canary' && policy.stages.length === 0)
    throw refused(
      `policy ${name} has no stages: it gives all traffic at once and watches then`,
      `leave out --strategy canary, or take a policy with stages; ${await namesWithStages(paths.config)}`,
    );
  if (strategy === 'blue-green') {
    const { shadow: _, ...watched } = policy;
    return { strategy: named === undefined ? base : 'blue-green', policy: { ...watched, stages: [] } };
  }
  if (policy.shadow && !config.shadow)
    throw refused(
      `policy ${name} copies requests to the new release, and appliance.yaml does not say which may be copied`,
      'add the section shadow to appliance.yaml ("shadow: {}" copies GET and HEAD), or take another policy',
    );
  return { strategy: named === undefined ? base : 'blue-green', policy };
}

/** What the planner needs of a policy. */
function rolloutPolicy({ policy, text }: LoadedPolicy): RolloutPolicy {
  return {
    name: policy.name,
    rules: text,
    stages: policy.canary?.stages ?? [],
    ...(policy.shadow ? { shadow: policy.shadow } : {}),
    bake: policy.bake ?? null,
    verifyRollback: policy.verifyRollback,
    drain: policy.drain?.limit ?? null,
  };
}

/** `those with stages are flash, mlops` */
async function namesWithStages(configPath: string): Promise<string> {
  const names: string[] = [];
  for (const { name } of await listPolicies(configPath)) {
    // One that cannot be read says so when it is used.
    const loaded = await loadPolicy(name, configPath).catch(() => undefined);
    if (loaded?.policy.canary) names.push(name);
  }
  return names.length === 0 ? 'there is none with stages yet' : `those with stages are ${names.join(', ')}`;
}

function refused(message: string, hint: string): ApplianceError {
  return new ApplianceError('usage', message, { left: 'nothing was touched', hint });
}
