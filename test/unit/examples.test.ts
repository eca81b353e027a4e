import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/load.ts';
import { loadPolicy } from '../../src/config/policy-load.ts';
import { loadSequence } from '../../src/config/sequence-load.ts';

const directory = join(import.meta.dirname, '../../compose/examples');
const files = readdirSync(directory).filter((name) => name.endsWith('.yaml'));

describe('the five documents as configurations', () => {
  it('there is one for each', () => {
    expect(files.sort()).toEqual(['flash.yaml', 'iswitch.yaml', 'ml-pipeline.yaml', 'mlops.yaml', 'routing-ml.yaml']);
  });
  it.each(files)('%s is accepted, without a warning, and follows its policy', async (file) => {
    const { config, problems, ...rest } = parseConfig(readFileSync(join(directory, file), 'utf8'));
    expect(problems).toEqual([]);
    expect('warnings' in rest ? rest.warnings : undefined).toEqual([]);
    const name = config?.deploy.policy ?? '';
    expect(`${name}.yaml`).toBe(file);
    const { policy } = await loadPolicy(name, '/nonexistent/appliance.yaml');
    expect(policy.checks.refuse.length).toBeGreaterThan(0);
    for (const sequence of config?.checks?.smoke ?? []) expect(await loadSequence(sequence)).toBeDefined();
    expect(config?.checks?.smoke).toEqual([name]);
  });
});
