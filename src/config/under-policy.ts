import type { CrossIssue } from './cross-issue.ts';
import { configOf, type ParsedConfig, parseConfig, readConfigText } from './load.ts';
import { loadPolicy } from './policy-load.ts';
import type { Config } from './schema.ts';

type TlsVersion = NonNullable<Config['edge']['tls']['minVersion']>;

/**
 * appliance.yaml as it holds under `deploy.policy`: where it leaves a value to the policy, that of the policy is filled in
 * (S4-4: TLS 1.3 alone). A policy that cannot be read asks for nothing here; whoever deploys by it is told.
 * @throws ApplianceError `config_missing`, or `config_invalid` with file, line and column of every mistake
 */
export async function loadConfigUnderPolicy(path: string): Promise<Config> {
  const { parsed, floor } = await parseUnderPolicy(path, await readConfigText(path));
  const config = configOf(path, parsed);
  const { edge } = config;
  return { ...config, edge: { ...edge, tls: { ...edge.tls, minVersion: edge.tls.minVersion ?? floor } } };
}

/**
 * Reads the text of an appliance.yaml, and what it says against its policy.
 * @param path where the text stands: own policies lie beside it
 * @returns also the oldest version of TLS that the policy allows
 */
export async function parseUnderPolicy(
  path: string,
  text: string,
): Promise<{ readonly parsed: ParsedConfig; readonly floor: TlsVersion }> {
  const alone = parseConfig(text);
  const name = alone.config?.deploy.policy;
  if (name === undefined) return { parsed: alone, floor: '1.2' };
  const loaded = await loadPolicy(name, path).catch(() => undefined);
  const floor = loaded?.policy.tls?.minVersion ?? '1.2';
  return { parsed: parseConfig(text, (config) => tlsIssues(config, floor)), floor };
}

function tlsIssues({ edge, deploy }: Config, floor: TlsVersion): CrossIssue[] {
  if (floor !== '1.3' || edge.tls.minVersion !== '1.2') return [];
  const message = `the policy ${deploy.policy} asks for TLS 1.3 alone; write '1.3', or leave it out`;
  return [{ path: ['edge', 'tls', 'minVersion'], message }];
}
