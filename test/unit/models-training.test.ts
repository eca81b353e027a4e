import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ModelProcesses } from '../../src/capabilities/models/processes.ts';
import { trainModel } from '../../src/capabilities/models/training.ts';
import { modelsSchema } from '../../src/config/models.ts';
import { systemClock } from '../../src/lib/clock.ts';

/** One answer of an application; `hangs-up`: the connection ends without one. */
type Answer = { readonly status: number; readonly body: string } | 'hangs-up';

const ok = (body: unknown): Answer => ({ status: 200, body: JSON.stringify(body) });
const accepted: Answer = { status: 202, body: '{"run_id": "r1"}' };
const running = ok({ state: 'running', run: { run_id: 'r1' } });
const succeeded = ok({ state: 'succeeded', run: { run_id: 'r1', version: '2026.2' } });

let scratch: string;
let server: Server | undefined;
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'training-'));
});
afterEach(async () => {
  server?.close();
  await rm(scratch, { recursive: true });
});

/** Trains with an application that answers the wish, and then each question about it, the last answer again and again. */
async function train(wish: Answer | 'down', ...about: Answer[]): Promise<string | undefined> {
  server = createServer((request, response) => {
    const answer = request.method === 'POST' ? wish : about.length > 1 ? about.shift() : about[0];
    if (answer === undefined || typeof answer === 'string') return void response.destroy();
    response.statusCode = answer.status;
    response.end(answer.body);
  });
  await new Promise<void>((done) => server?.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  if (wish === 'down') await new Promise((done) => server?.close(done));
  const config = modelsSchema.parse({ service: 'backend', port, trainer: { versions: '/srv/versions' } });
  const environment = async () => ({});
  const replicas = async () => [{ id: 'one', name: 'backend-1', address: '127.0.0.1' }];
  const step = trainModel({
    config,
    processes: new ModelProcesses({ config, clock: systemClock, replicas, environment }),
    clock: systemClock,
    scratch,
    pause: 5,
    silence: 300,
    archive: async (_replica, path, to) => {
      expect(path).toBe('/srv/versions/2026.2');
      const reference = resolve(import.meta.dirname, '../../compose/routing-ml/app');
      await execa('tar', ['-cf', to, '-C', reference, 'models']);
    },
    add: async (directory) => {
      expect(await readdir(directory)).toContain('manifest.json');
      return { name: 'routing', version: '2026.2' } as never;
    },
  });
  const context = {
    operation: 'test',
    clock: systemClock,
    signal: AbortSignal.timeout(20_000),
    progress: () => undefined,
  };
  return step.bind({ marker: 'training of today', actor: 'anna' }).apply(context);
}

describe('training (S3-26)', () => {
  it('registers what comes out', async () => {
    expect(await train(accepted, running, running, succeeded)).toBe('routing@2026.2 is registered');
    expect(await readdir(scratch)).toEqual([]);
  });

  it('goes on when a busy process leaves questions unanswered for a while', async () => {
    const busy: Answer[] = ['hangs-up', { status: 503, body: 'busy' }, { status: 200, body: '<html>' }];
    expect(await train(accepted, running, ...busy, running, succeeded)).toBe('routing@2026.2 is registered');
  });

  it('gives up when nothing is heard of the run any longer, and says what was heard last', async () => {
    await expect(train(accepted, running, { status: 503, body: 'busy' })).rejects.toMatchObject({
      code: 'training_failed',
      message: expect.stringMatching(
        /^nothing was heard of the training run r1 for 3\d\d ms: backend-1 answers .* with 503: busy$/,
      ),
    });
  });

  it('tells of a run that failed', async () => {
    await expect(
      train(accepted, ok({ state: 'failed', run: { run_id: 'r1', detail: 'too few rows' } })),
    ).rejects.toMatchObject({ code: 'training_failed', message: 'the training run r1 is failed: too few rows' });
  });

  for (const [what, wish, why] of [
    ['is down', 'down', /^backend-1 could not be asked to train: connect ECONNREFUSED 127\.0\.0\.1:\d+$/],
    ['hangs up', 'hangs-up', /^backend-1 could not be asked to train: socket hang up$/],
    ['accepts without a run', { status: 202, body: '{}' }, /^backend-1 answers the wish to train with 202: \{\}$/],
    ['accepts in another language', { status: 202, body: '<html>' }, /with 202: <html>$/],
    ['trains already', { status: 409, body: 'another run' }, /with 409: another run$/],
  ] as const)
    it(`says so when the application ${what}`, async () => {
      await expect(train(wish, running)).rejects.toMatchObject({
        code: 'training_failed',
        message: expect.stringMatching(why),
        left: 'the model in force stays as it is',
      });
    });
});
