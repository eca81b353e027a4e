import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** What takes longest begins first, so that nothing long is left for the end when files run side by side. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const found = longest.indexOf(basename(moduleId).replace(/\.test\.tsx?$/, ''));
      return found < 0 ? longest.length : found;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}

/** By what they took when they were last looked at: more than a minute and a half, or many kills. */
const longest = [
  'crash-deploy',
  'crash-rollback',
  'crash-rollout',
  'crash-rollout-back',
  'crash-recreate',
  'crash-restore',
  'crash-recover',
  'backup-store',
  'appliance',
  'stack-repair',
  'stack-steps',
  'backup-drill',
  'backup-s3',
  'certificates-soak',
  'certificates-crash',
  'monitoring',
  'backup-commands',
  'certificates-agent',
  'models-promote',
  'reference-app',
  'restore-rollback',
  'backup-offsite',
];

/**
 * Four projects, from fast to slow. `unit` needs no engine; the others use a real Docker Engine. They share it, but each
 * file has an appliance of its own: name, networks, ports and root, so as many of them as `maxWorkers` says run side by side.
 */
const project = (name: string, groupOrder: number, testTimeout: number, more: ProjectOptions = {}) => ({
  test: {
    name,
    sequence: { groupOrder },
    include: [`test/${name}/**/*.test.{ts,tsx}`],
    testTimeout,
    hookTimeout: testTimeout,
    // What a test waits for may come late on a busy machine: how late is not what it is about.
    expect: { poll: { timeout: Math.min(testTimeout / 2, 30_000) } },
    ...more,
  },
});

type ProjectOptions = { maxWorkers?: number; env?: Record<string, string> };

/** Agents and commands are started from source hundreds of times, and compiling them is half of what a start costs. */
const env = { NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache') };

export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      project('unit', 1, 60_000, { maxWorkers: 3, env }),
      project('integration', 2, 600_000, { maxWorkers: 3, env }),
      project('faults', 3, 900_000, { maxWorkers: 4, env }),
      project('e2e', 4, 600_000, { maxWorkers: 1 }),
    ],
  },
});
