import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { reload } from '../../src/capabilities/traffic/configuration.ts';
import type { TrafficParts } from '../../src/capabilities/traffic/deps.ts';
import { ApplianceError } from '../../src/lib/errors.ts';

const silence = new ApplianceError('edge_unreachable', 'it did not answer within 5 s');
const { signal } = new AbortController();

describe('a reload', () => {
  let folder: string;
  let now: number;
  /** What nginx answers each time that it is asked; the last one from then on. */
  let answers: (string | ApplianceError)[];
  let workers: string[];

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'reload-'));
    [now, workers] = [0, ['/proc/7/cmdline']];
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const parts = () =>
    ({
      files: { errorLog: join(folder, 'error.log') },
      clock: {
        now: () => now,
        monotonic: () => now,
        sleep: async (ms: number) => {
          now += ms;
        },
      },
      exec: async ([program]: readonly string[]) => {
        const listed = workers.join('\n');
        if (program === 'nginx') workers = ['/proc/9/cmdline'];
        return { exitCode: 0, stdout: listed, stderr: '' };
      },
      control: {
        status: async () => {
          const answer = answers.length > 1 ? answers.shift() : answers[0];
          if (answer instanceof ApplianceError) {
            now += 5_000;
            throw answer;
          }
          return { generation: answer };
        },
      },
    }) as unknown as TrafficParts;

  it('is not refused because one answer of the new workers is late', async () => {
    answers = ['new', silence, 'new'];
    await expect(reload(parts(), 'new', signal)).resolves.toBeUndefined();
  });

  it('of an nginx that goes on saying nothing is not believed', async () => {
    answers = ['new', silence];
    await expect(reload(parts(), 'new', signal)).rejects.toBe(silence);
    expect(now).toBeLessThan(30_000);
  });
});
