import { type RuleSet, ruleSet } from '../capabilities/alerts/rules.ts';
import { loadPolicy, parsePolicy } from '../config/policy-load.ts';
import type { Config } from '../config/schema.ts';

/**
 * The rules that are to be in force: those of the appliance itself and of the policies under `monitoring.policies`; where
 * it is left out, of the policies in use, which are `deploy.policy` and that of a running rollout, as it was when it began.
 * @param rollout text of the policy of a running rollout
 * @throws ApplianceError `policy_not_found`, `policy_invalid`
 */
export async function alertRules(config: Config, configPath: string, rollout: string | undefined): Promise<RuleSet> {
  const { metrics = {}, database, policies } = config.monitoring ?? {};
  const names = policies ?? (config.deploy.policy === undefined ? [] : [config.deploy.policy]);
  const loaded = await Promise.all([...new Set(names)].map((name) => loadPolicy(name, configPath)));
  const inUse = new Map(loaded.map(({ policy }) => [policy.name, policy]));
  const running = policies === undefined && rollout !== undefined ? parsePolicy(rollout).value : null;
  if (running) inUse.set(running.name, running);
  return ruleSet([...inUse.values()], { metrics, database });
}
