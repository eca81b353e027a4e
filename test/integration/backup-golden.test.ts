import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Lab } from '../support/appliance.ts';

// The reference application with a promoted model: what was backed up is loaded in the image that serves.
const name = 'backupgolden';
const timeout = 900_000;
const models = resolve(import.meta.dirname, '../../compose/routing-ml/app/models');
const detailSchema = z.object({
  drills: z.array(
    z.object({
      depth: z.string(),
      verdict: z.string(),
      untested: z.array(z.string()),
      findings: z.array(z.object({ id: z.string(), verdict: z.string(), observed: z.string() })),
    }),
  ),
});
let lab: Lab;

beforeAll(async () => {
  lab = await Lab.make({ name, port: 28_760, pool: '10.237.0.0/16' });
}, timeout);
afterAll(async () => {
  await lab?.destroy();
}, timeout);

async function done(...args: string[]): Promise<Record<string, unknown>> {
  const { exitCode, document } = await lab.json(args);
  expect({ args, exitCode, error: document.error }).toEqual({ args, exitCode: 0, error: undefined });
  return document;
}

describe('a drill beside a live release', { timeout }, () => {
  it('S4-1 S4-53: loads the model in the live image, and its golden predictions are those of the running one', async () => {
    await done('deploy', 'v1.0', '--yes');
    await done('models', 'add', models);
    await done('models', 'promote', 'routing-similarity@2026.1', '--bake', '1s');
    await done('backup', 'now');
    await done('backup', 'drill', '--deep');
    const [drill] = detailSchema.parse(await done('backup', 'show')).drills;
    expect(drill).toMatchObject({ depth: 'deep', verdict: 'pass', untested: [] });
    expect(drill?.findings.find(({ id }) => id === 'drill-load-routing-similarity@2026.1')).toMatchObject({
      verdict: 'pass',
      observed: expect.stringMatching(
        /^it loads in the live image, without network; \d+ golden predictions are equal$/,
      ),
    });
    expect(drill?.findings.find(({ id }) => id.startsWith('drill-database:'))?.verdict).toBe('pass');
  });
});
