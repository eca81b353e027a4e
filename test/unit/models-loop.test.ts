import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { judgeLibraries, judgeLimit } from '../../src/capabilities/models/gates/limits.ts';
import { parseTrial } from '../../src/capabilities/models/gates/trial.ts';
import { closeLoop, closeLoopBeside } from '../../src/capabilities/models/loop.ts';
import { type Expected, ModelProcesses } from '../../src/capabilities/models/processes.ts';
import { commonGates } from '../../src/config/model-gates.ts';
import { modelsSchema } from '../../src/config/models.ts';
import { systemClock } from '../../src/lib/clock.ts';

/** A process of an application: it loads what lies on the disk when it is asked to, or only after something else. */
interface Behaviour {
  readonly loadsAfter: 'reload' | 'touch' | 'restart' | 'nothing';
  /** What its restart fails with. */
  readonly fails?: string;
  readonly login?: boolean;
  /** A candidate that it reports, and why it has none. */
  readonly candidate?: { readonly sha256: string; readonly weight: number };
  readonly problem?: string;
  /** Status that a request to load another model is answered with. */
  readonly answers?: number;
  /** What comes to pass while nothing may be restarted yet: another manifest is put in force, or it is loaded after all. */
  readonly meanwhile?: 'superseded' | 'loaded';
}

let servers: Server[] = [];
afterEach(() => {
  for (const server of servers) server.close();
  servers = [];
});

async function application(behaviour: Behaviour) {
  const seen: string[] = [];
  let [loaded, touched, restarted] = ['old', false, false];
  const server = createServer((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    if (request.url === '/api/auth/login') return void response.end(JSON.stringify({ access_token: 'let-me-in' }));
    if (request.url === '/api/models/active')
      return void response.end(
        JSON.stringify({
          sha256: loaded,
          version: loaded,
          candidate: behaviour.candidate ?? null,
          candidate_problem: behaviour.problem ?? null,
        }),
      );
    if (behaviour.login && request.headers.authorization !== 'Bearer let-me-in') {
      response.statusCode = 401;
      return void response.end('{}');
    }
    const { loadsAfter } = behaviour;
    if (loadsAfter === 'reload' || (loadsAfter === 'touch' && touched)) loaded = 'new';
    response.statusCode = behaviour.answers ?? 200;
    response.end('{}');
  });
  servers.push(server);
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  const config = modelsSchema.parse({
    service: 'backend',
    port,
    reload: '/api/models/reload',
    confirm: '200ms',
    ...(behaviour.login ? { login: {} } : {}),
  });
  const processes = new ModelProcesses({
    config,
    clock: systemClock,
    replicas: async () => [{ id: 'one', name: 'backend-1', address: '127.0.0.1' }],
    environment: async () => ({ DEMO_USER: 'anna', DEMO_PASSWORD: 'a-long-password' }),
  });
  const deps = {
    processes,
    clock: systemClock,
    confirm: config.confirm,
    touch: async () => {
      touched = true;
    },
    settled: async () => {
      if (behaviour.meanwhile === 'loaded') loaded = 'new';
      return behaviour.meanwhile === 'superseded' ? 'newer' : 'new';
    },
    restart: async () => {
      restarted = true;
      if (behaviour.fails) throw new Error(behaviour.fails);
      if (behaviour.loadsAfter === 'restart') loaded = 'new';
    },
  };
  return {
    close: (candidate?: Expected['candidate']) =>
      closeLoop(
        deps,
        { sha256: 'new', ...(candidate === undefined ? {} : { candidate }) },
        AbortSignal.timeout(10_000),
      ),
    /** @param candidates what is read, one after the other; the last of them from then on */
    beside: (candidates: NonNullable<Expected['candidate']>[]) =>
      closeLoopBeside(
        deps,
        async () => ({
          sha256: 'new',
          candidate: (candidates.length > 1 ? candidates.shift() : candidates[0]) ?? null,
        }),
        AbortSignal.timeout(10_000),
      ),
    seen,
    state: () => ({ touched, restarted }),
  };
}

describe('closing the loop (S1-77)', () => {
  for (const way of ['reload', 'touch', 'restart'] as const)
    it(`believes what a process reports after a ${way}`, async () => {
      const { close, state } = await application({ loadsAfter: way });
      expect(await close()).toMatchObject({ by: way, replicas: 1 });
      expect(state()).toEqual({ touched: way !== 'reload', restarted: way === 'restart' });
    });

  it('logs in where a login is needed, once', async () => {
    const { close, seen } = await application({ loadsAfter: 'touch', login: true });
    expect(await close()).toMatchObject({ by: 'touch' });
    expect(seen.filter((line) => line === 'POST /api/auth/login')).toHaveLength(1);
  });

  for (const answers of [409, 422, 500])
    it(`leaves the good model to a process that answers ${answers}: started anew it would have none`, async () => {
      const { close, state } = await application({ loadsAfter: 'restart', answers });
      await expect(close()).rejects.toMatchObject({
        code: 'model_not_loaded',
        message: expect.stringMatching(new RegExp(`none restarted.*backend-1 answers ${answers}`)),
      });
      expect(state().restarted).toBe(false);
    });

  it('tells of a restart that fails in one line, without the log', async () => {
    const { close } = await application({
      loadsAfter: 'nothing',
      fails: 'backend-1 is not healthy\nits last lines:\n{}',
    });
    await expect(close()).rejects.toMatchObject({
      code: 'model_not_loaded',
      message: expect.stringMatching(
        /^[^\n]*a restart of backend-1, the others were left alone \(backend-1 is not healthy\)[^\n]*$/,
      ),
      hint: expect.stringContaining('appliance logs'),
    });
  });

  it('restarts nobody for a manifest that is no longer in force', async () => {
    const { close, state } = await application({ loadsAfter: 'restart', meanwhile: 'superseded' });
    await expect(close()).rejects.toMatchObject({
      code: 'model_not_loaded',
      message: expect.stringMatching(/none restarted: newer is in force by now.*backend-1: it has loaded old/),
    });
    expect(state().restarted).toBe(false);
  });

  it('restarts nobody who has it by the time that one may', async () => {
    const { close, state } = await application({ loadsAfter: 'nothing', meanwhile: 'loaded' });
    expect(await close()).toMatchObject({ by: 'touch', replicas: 1 });
    expect(state().restarted).toBe(false);
  });

  it('restarts one that nobody may ask, because it watches by itself', async () => {
    const { close } = await application({ loadsAfter: 'restart', answers: 404 });
    expect(await close()).toMatchObject({ by: 'restart' });
  });

  it('asks for the candidate and its share as well (S3-25)', async () => {
    const candidate = { sha256: 'second', weight: 0.1 };
    const { close } = await application({ loadsAfter: 'reload', candidate });
    expect(await close(candidate)).toMatchObject({ by: 'reload' });
    // An application that knows of no candidates is not asked for one.
    expect(await close()).toMatchObject({ by: 'reload' });
  });

  for (const candidate of [undefined, { sha256: 'second', weight: 0.2 }])
    it(`does not restart for a candidate: ${candidate ? 'another share' : 'none'} is reported`, async () => {
      const about = { ...(candidate ? { candidate } : { problem: 'encoder.joblib cannot be loaded' }) };
      const { close, state } = await application({ loadsAfter: 'reload', ...about });
      await expect(close({ sha256: 'second', weight: 0.1 })).rejects.toMatchObject({
        code: 'model_not_loaded',
        message: expect.stringContaining(candidate ? 'for a share of 0.2' : 'encoder.joblib cannot be loaded'),
      });
      expect(state().restarted).toBe(false);
    });

  it('is no failure beside an operation that changes the share meanwhile', async () => {
    const { beside, state } = await application({ loadsAfter: 'reload', candidate: { sha256: 'second', weight: 0.2 } });
    const share = (weight: number) => ({ sha256: 'second', weight });
    expect(await beside([share(0.1), share(0.2)])).toMatchObject({ by: 'reload' });
    await expect(beside([share(0.1), share(0.1)])).rejects.toMatchObject({ code: 'model_not_loaded' });
    expect(state().restarted).toBe(false);
  });

  it('fails with what each process says when nothing helps', async () => {
    const { close } = await application({ loadsAfter: 'nothing' });
    await expect(close()).rejects.toMatchObject({
      code: 'model_not_loaded',
      message: expect.stringContaining('backend-1: it has loaded old'),
    });
  });
});

describe('limits (S4-16 to S4-20, S3-3, S0-40)', () => {
  const known = {
    metrics: { accuracy: 0.86, roc_auc: 0.95 },
    trial: { latency: 0.1, samples: 400, golden: 0.5 },
    why: '',
    compared: true,
  };

  it('hold at their edges, and fail beyond them', () => {
    expect(judgeLimit({ id: 'S4-16', metric: 'accuracy', atLeast: 0.86 }, known)).toMatchObject({ verdict: 'pass' });
    expect(judgeLimit({ id: 'S0-40', metric: 'accuracy', atLeast: 0.87 }, known)).toMatchObject({
      verdict: 'fail',
      observed: '0.86',
    });
    expect(judgeLimit({ id: 'S3-3', metric: 'roc-auc', above: 0.95 }, known)).toMatchObject({ verdict: 'fail' });
    expect(judgeLimit({ id: 'S4-17', metric: 'latency', atMost: 0.1 }, known)).toMatchObject({
      verdict: 'pass',
      observed: '100.00 ms',
      samples: 400,
    });
    expect(judgeLimit({ id: 'x', metric: 'latency', below: 0.1 }, known)).toMatchObject({ verdict: 'fail' });
  });

  it('are inconclusive without a number, never a pass', () => {
    for (const gate of [...commonGates, { id: 'S4-20', metric: 'bias', atMost: 0.1 } as const])
      expect(judgeLimit(gate, { ...known, trial: null, why: 'nothing is live' })).toMatchObject({
        verdict: 'inconclusive',
        needed: 1,
      });
    expect(
      judgeLimit({ id: 'x', metric: 'accuracy', atLeast: 0 }, { ...known, metrics: { accuracy: Number.NaN } }),
    ).toMatchObject({
      verdict: 'inconclusive',
    });
  });

  it('compare with a model in force only where there is one', () => {
    const gate = { id: 'S1-63', metric: 'golden', atLeast: 0.85 } as const;
    expect(judgeLimit(gate, known)).toMatchObject({ verdict: 'fail' });
    expect(judgeLimit(gate, { ...known, compared: false })).toBeNull();
  });
});

describe('libraries (S3-6)', () => {
  const there = { python: '3.13.5', numpy: '2.2.4' };
  it('pass within the same minor version, and fail beyond it', () => {
    expect(judgeLibraries({ python: '3.13.1', numpy: '2.2.0' }, there, '')).toMatchObject({
      verdict: 'pass',
      samples: 2,
    });
    expect(judgeLibraries({ numpy: '1.26.4' }, there, '')).toMatchObject({
      verdict: 'fail',
      observed: 'numpy 1.26.4, there 2.2.4',
    });
  });
  it('are inconclusive when one of both does not say', () => {
    expect(judgeLibraries({}, there, '')).toMatchObject({ verdict: 'inconclusive' });
    expect(judgeLibraries({ numpy: '2.2.4' }, null, 'nothing is live')).toMatchObject({ verdict: 'inconclusive' });
    expect(judgeLibraries({ xgboost: '3.0.0' }, there, '')).toMatchObject({
      verdict: 'inconclusive',
      observed: 'xgboost 3.0.0, there absent',
    });
  });
});

describe('what a trial prints', () => {
  it('is its last line', () => {
    expect(parseTrial('a warning\n{"latency": 0.01, "note": "x", "libraries": {"numpy": "2.2.4"}}\n')).toEqual({
      kind: 'measured',
      trial: { numbers: { latency: 0.01 }, libraries: { numpy: '2.2.4' } },
    });
  });
  it('is nothing when it is no object', () => {
    for (const text of ['', 'Killed', '[1]', '"x"']) expect(parseTrial(text)).toMatchObject({ kind: 'none' });
  });
});
