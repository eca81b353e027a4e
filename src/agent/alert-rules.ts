import { type RuleSet, ruleSet } from '../capabilities/alerts/rules.ts';
import { loadPolicy } from '../config/policy-load.ts';
import type { Config } from '../config/schema.ts';

/**
 * The rules that appliance.yaml asks for: its own ones and those of the policies under `monitoring.policies`.
 * @throws ApplianceError `policy_not_found`, `policy_invalid`
 */
export async function alertRules(config: Config, configPath: string): Promise<RuleSet> {
  const names = config.monitoring?.policies ?? [];
  const loaded = await Promise.all([...new Set(names)].map((name) => loadPolicy(name, configPath)));
  return ruleSet(
    loaded.map(({ policy }) => policy),
    config.monitoring?.metrics ?? {},
  );
}
