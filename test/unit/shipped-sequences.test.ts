import { createServer, type Server } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { runChecks } from '../../src/capabilities/checks/run-checks.ts';
import { sequenceChecks } from '../../src/capabilities/checks/smoke/sequence.ts';
import { loadSequence } from '../../src/config/sequence-load.ts';
import { systemClock } from '../../src/lib/clock.ts';

const signal = new AbortController().signal;
const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

interface Behaviour {
  readonly health: Record<string, unknown>;
  readonly confidence: number;
  readonly accuracy: number;
  /** Predictions that are lost of a batch. */
  readonly lost: number;
  readonly reload: number;
  readonly docs: number;
}
const sound: Behaviour = {
  health: { status: 'ok', timestamp: '2026-11-21T10:00:00Z', model_loaded: true, database: 'ok' },
  confidence: 0.9,
  accuracy: 0.91,
  lost: 0,
  reload: 200,
  docs: 200,
};

/** The paths of the reference application, as it answers them. */
async function application(more: Partial<Behaviour>): Promise<number> {
  const { health, confidence, accuracy, lost, reload, docs } = { ...sound, ...more };
  const one = { prediction: 'R1', operations: ['cut'], confidence, interval: { low: 0.4, high: 0.95 } };
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const body = text === '' ? {} : JSON.parse(text);
    const say = (status: number, document: unknown, type = 'application/json') => {
      response.writeHead(status, { 'content-type': type });
      response.end(type === 'application/json' ? JSON.stringify(document) : String(document));
    };
    const allowed = request.headers.authorization === 'Bearer t0ken';
    const path = request.url ?? '/';
    if (path === '/health') return say(200, health);
    if (path === '/api/auth/login') return say(body.password === 'right' ? 200 : 401, { access_token: 't0ken' });
    if (path === '/api/models/active')
      return say(200, { version: '7', sha256: 'a'.repeat(64), metrics: { accuracy }, files: { 'a.joblib': 1 } });
    if (path === '/' || path === '/training/') return say(200, '<html><script src="x"></script>', 'text/html');
    if (path === '/docs') return say(docs, '<html>', 'text/html');
    if (path === '/metrics') return say(200, '# TYPE up gauge', 'text/plain');
    if (!allowed) return say(401, { error: { code: 'unauthorised' } });
    if (path === '/api/models/reload') return say(reload, { version: '7' });
    if (path === '/api/trainer/run') return say(202, {});
    if (path === '/api/data-quality/metrics') return say(200, { items: 400 });
    if (path === '/stats') return say(200, { health: 'ok' });
    if (path === '/api/routing/predict/batch')
      return say(200, { predictions: Array.from({ length: body.item_codes.length - lost }, () => one) });
    if (body.item_code === 'ITEM_A001') return say(200, one);
    return say(422, { error: { code: 'invalid_request' } });
  });
  servers.push(server);
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : 0);
    });
  });
}

/** Ids of demands that do not pass. */
async function open(policy: string, more: Partial<Behaviour> = {}, through: 'colour' | 'edge' = 'colour') {
  const sequence = await loadSequence(policy);
  if (!sequence) throw new Error(`there is no sequence ${policy}`);
  const port = await application(more);
  // How long this machine takes says nothing about what is answered.
  const steps = sequence.steps.map((step) => ({ ...step, expect: { ...step.expect, within: undefined } }));
  const checks = sequenceChecks(
    { ...sequence, steps },
    {
      destination: () => ({ protocol: 'http', address: '127.0.0.1', port, host: 'localhost' }),
      environment: { DEMO_USER: 'ada', DEMO_PASSWORD: 'right' },
      through,
    },
  );
  const results = await runChecks(checks, { clock: systemClock, signal });
  return {
    ids: results.filter(({ verdict }) => verdict !== 'pass').flatMap(({ requirement }) => requirement),
    names: results.map(({ id }) => id.split('.').at(-1)),
  };
}

describe('the sequences of the five documents, on an application that answers as the reference application does', () => {
  it.each(['iswitch', 'routing-ml', 'flash', 'ml-pipeline', 'mlops'])('%s passes', async (policy) => {
    expect((await open(policy)).ids).toEqual([]);
  });

  it.each<[string, string, string, Partial<Behaviour>]>([
    ['S0-29', 'no model is loaded', 'iswitch', { health: { ...sound.health, model_loaded: false } }],
    ['S0-29', 'it says that it is not well', 'iswitch', { health: { ...sound.health, status: 'degraded' } }],
    ['S0-30', 'a confidence beyond 1', 'iswitch', { confidence: 1.2 }],
    ['S0-49', 'predictions without sense', 'iswitch', { confidence: -1 }],
    ['S0-50', 'one of a thousand is lost', 'iswitch', { lost: 1 }],
    ['S0-32', 'the model cannot be loaded again', 'iswitch', { reload: 500 }],
    ['S0-52', 'accuracy below 0.80', 'iswitch', { accuracy: 0.79 }],
    ['S0-19', 'the staging colour is not whole', 'iswitch', { confidence: 2 }],
    ['S1-80', 'health without ok', 'routing-ml', { health: { ...sound.health, status: 'starting' } }],
    ['S1-82', 'no confidence', 'routing-ml', { confidence: 7 }],
    ['S1-84', 'the model has no metrics', 'routing-ml', { accuracy: 3 }],
    ['S2-36', 'a prediction outside 0 to 100 %', 'flash', { confidence: 1.01 }],
    ['S3-9', 'no documentation', 'ml-pipeline', { docs: 404 }],
    ['S4-1', 'the database is gone', 'mlops', { health: { ...sound.health, database: 'unreachable' } }],
  ])('%s fails: %s', async (id, _, policy, behaviour) => {
    expect((await open(policy, behaviour)).ids).toContain(id);
  });

  it('asks a service straight only where a colour is asked, and not through the edge (S3-9)', async () => {
    expect((await open('ml-pipeline', { docs: 404 }, 'edge')).ids).toEqual([]);
    expect((await open('ml-pipeline', {}, 'edge')).names).not.toContain('docs');
    expect((await open('ml-pipeline')).names).toEqual(expect.arrayContaining(['docs', 'metrics', 'stats']));
  });
});
