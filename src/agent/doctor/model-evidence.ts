import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { EvidenceTypes } from '../../capabilities/doctor/evidence.ts';
import { readManifest } from '../../capabilities/models/manifest-file.ts';
import { reachable } from '../../capabilities/traffic/addresses.ts';
import { exists } from '../../host/files.ts';
import { askBounded } from '../../host/http-bounded.ts';
import { messageOf } from '../../lib/errors.ts';
import type { Appliance } from '../appliance.ts';
import { policyOf } from '../checks/index.ts';
import { ownChain } from '../checks/own-chain.ts';
import { markHeader, sequencesOf } from '../checks/smoke-hands.ts';
import type { Asker, Gatherers } from './gather.ts';

/** Milliseconds for one request, and for a question inside of a container. */
const answerWithin = 5_000;
/** Where a metric is looked at: over so many milliseconds. */
const lookBack = 300_000;

const statusSchema = z.looseObject({
  state: z.string(),
  run: z.looseObject({ run_id: z.string().nullish(), detail: z.string().nullish() }).nullish(),
});
const refusalSchema = z
  .looseObject({ error: z.looseObject({ message: z.string() }).or(z.string()) })
  .or(z.looseObject({ detail: z.string() }));
/** Keys of the environment by which applications take names that may call them. */
const originKeys = ['CORS_ORIGINS', 'CORS_ALLOWED_ORIGINS', 'ALLOWED_ORIGINS', 'CORS_ALLOW_ORIGINS', 'CORS_ORIGIN'];

type ModelEvidence = Pick<Gatherers, 'models' | 'training' | 'page' | 'cache' | 'predictions'>;

/** What can be seen of models, training and the page that people train with. */
export function modelEvidence(a: Appliance, asker: Asker, measure: Measure): ModelEvidence {
  return {
    models: (signal) => modelsOf(a, signal),
    training: (signal) => trainingOf(a, asker, signal),
    page: (signal) => pageOf(a, asker, signal),
    cache: async (signal) => {
      if (a.config.monitoring?.metrics['cache-hits'] === undefined) return null;
      return measure('cache-hits', signal).then(({ value, why }) => ({ hits: value, why }));
    },
    predictions: async (signal) => {
      const [spread, drift, accuracy] = await Promise.all(
        ['prediction-spread', 'drift', 'accuracy'].map((name) => measure(name, signal)),
      );
      const values = { spread: spread?.value ?? null, drift: drift?.value ?? null, accuracy: accuracy?.value ?? null };
      return { ...values, why: spread?.why ?? drift?.why ?? accuracy?.why ?? null };
    },
  };
}

/** Measures a metric of the live release; null, and why, where nothing is known of it. */
export type Measure = (
  metric: string,
  signal: AbortSignal,
) => Promise<{ readonly value: number | null; readonly why: string | null }>;

/** Reads metrics of the live release from Prometheus. */
export function measureOf(a: Appliance): Measure {
  return async (metric, signal) => {
    const live = a.store.live();
    if (!live) return { value: null, why: 'nothing is live' };
    const now = a.clock.now();
    const subject = { tag: a.store.get(live.release).tag, colour: live.colour };
    const seen = await a.read(metric, subject, { from: now - lookBack, to: now }, signal);
    if (seen.kind === 'none') return { value: null, why: seen.why };
    return seen.kind === 'value'
      ? { value: Number.isFinite(seen.last) ? seen.last : null, why: null }
      : { value: null, why: `${metric} is no single value` };
  };
}

async function modelsOf(a: Appliance, signal: AbortSignal): Promise<EvidenceTypes['models']> {
  const service = a.modelService;
  if (!service || !a.config.models) return null;
  const { directory } = service;
  const mayTrain = a.config.models.trainer !== undefined;
  const place = (await exists(join(directory, 'current'))) ? join(directory, 'current') : directory;
  const base = { directory, mayTrain };
  let manifest: Awaited<ReturnType<typeof readManifest>>;
  try {
    manifest = await readManifest(place);
  } catch (error) {
    return { ...base, active: null, problem: messageOf(error), age: null, files: [], missing: [], loaded: [] };
  }
  const files = await readdir(place);
  const { mtimeMs } = await stat(manifest.path);
  const { name, version } = manifest.manifest;
  return {
    ...base,
    active: { name, version, sha256: manifest.digest },
    problem: null,
    age: Math.max(0, (a.clock.now() - mtimeMs) / 1_000),
    files: files.sort(),
    missing: Object.keys(manifest.manifest.files).filter((file) => !files.includes(file)),
    loaded: (await service.loaded(signal)).map(({ replica, sha256, said }) => ({ name: replica.name, sha256, said })),
  };
}

async function trainingOf(a: Appliance, asker: Asker, signal: AbortSignal): Promise<EvidenceTypes['training']> {
  const trainer = a.config.models?.trainer;
  const service = a.modelService;
  if (!trainer || !service) return null;
  const replicas = await service.replicas();
  const [replica] = replicas;
  if (!replica) throw new Error('no process runs that could train');
  const said = await service.ask(replica, trainer.status, undefined, signal).then(
    ({ status, text }) => statusSchema.safeParse(status === 200 ? parsed(text) : undefined).data,
    () => undefined,
  );
  const directory = dirname(trainer.versions);
  // Any of them may be asked to train.
  const inside = async (...test: string[]): Promise<(boolean | null)[]> =>
    Promise.all(
      replicas.map(async ({ id }) => {
        const done = a.engine.exec(id, ['test', ...test], { timeout: answerWithin, signal });
        const exitCode = await done.then(
          (result) => result.exitCode,
          () => null,
        );
        return exitCode === 0 ? true : exitCode === 1 ? false : null;
      }),
    );
  const [requests, writables] = await Promise.all([
    inside('-e', `${directory}/training_request.json`),
    inside('-w', directory),
  ]);
  const operation = a.journal.recent(200).find(({ kind }) => kind === 'model-retrain');
  return {
    state: said?.state ?? null,
    detail: said?.run?.detail ?? null,
    run: said?.run?.run_id ?? null,
    trial: await trialOf(a, asker, trainer.run, replica, signal),
    request: requests.includes(true) || (requests.includes(null) ? null : false),
    writable: !writables.includes(false) && (writables.includes(null) ? null : true),
    operation: operation ? { result: operation.result, error: operation.error?.message ?? null } : null,
  };
}

/** Asks for a run without consequences, where a sequence of the configuration says how: any other request might train. */
async function trialOf(
  a: Appliance,
  asker: Asker,
  path: string,
  replica: Awaited<ReturnType<NonNullable<Appliance['modelService']>['replicas']>>[number],
  signal: AbortSignal,
): Promise<NonNullable<EvidenceTypes['training']>['trial']> {
  const step = (await stepsOf(a)).find((one) => one.path === path && one.method === 'POST');
  const dry = z.looseObject({ dry_run: z.literal(true) }).safeParse(step?.json).success;
  if (!step || !dry)
    throw new Error(`no sequence of appliance.yaml asks ${path} for a run without consequences (dry_run)`);
  if (asker.access === 'viewer') throw new Error('viewers may not send requests');
  try {
    const { status, text } = await (a.modelService?.ask(replica, path, step.json, signal) ??
      Promise.reject(new Error('no models')));
    const told = refusalSchema.safeParse(parsed(text)).data;
    const message = !told
      ? ''
      : 'detail' in told
        ? String(told.detail)
        : typeof told.error === 'string'
          ? told.error
          : (told.error as { message: string }).message;
    return { status, problem: null, said: message.slice(0, 200) };
  } catch (error) {
    signal.throwIfAborted();
    return { status: null, problem: messageOf(error), said: '' };
  }
}

async function stepsOf(a: Appliance) {
  const own = a.config.checks?.smoke ?? [];
  const policy = policyOf(a.config);
  const names = [...own, ...(policy === undefined || own.includes(policy) ? [] : [policy])];
  const all = await Promise.all(names.map((name) => sequencesOf(a, [name]).catch(() => [])));
  return all.flat().flatMap(({ steps }) => steps);
}

async function pageOf(a: Appliance, asker: Asker, signal: AbortSignal): Promise<EvidenceTypes['page']> {
  const live = a.store.live();
  const routes = live
    ? ((await a.observer.topologies(live.release))[live.colour].routes ?? a.config.routes)
    : a.config.routes;
  const route = routes.find(({ path, service }) => /train/i.test(path) || /train/i.test(service));
  if (!route) return null;
  const domain = a.config.edge.domains[0];
  const host = (domain ?? 'localhost').replace(/^\*\./, 'www.');
  const { host: address, port } = reachable(a.config.edge.https);
  const to = { protocol: 'https', address, port, host, ca: await ownChain(a, host), timeout: answerWithin } as const;
  const answer = await askBounded({ ...to, method: 'GET', path: route.path, headers: markHeader }, signal).then(
    ({ status, headers }) => ({
      status,
      problem: null,
      html: String(headers['content-type'] ?? '').startsWith('text/html'),
    }),
    (error: unknown) => ({ status: null, problem: messageOf(error), html: false }),
  );
  signal.throwIfAborted();
  const environment = live ? await a.store.environment(live.release) : {};
  const key = originKeys.find((name) => environment[name]);
  return {
    path: route.path,
    answer: { status: answer.status, problem: answer.problem },
    html: answer.html,
    login: await loginOf(a, asker, to, environment, signal),
    allowed: key === undefined ? null : (environment[key] ?? null),
    domains: a.config.edge.domains,
  };
}

/** The test account of the environment file, as the page logs it in. */
async function loginOf(
  a: Appliance,
  asker: Asker,
  to: Omit<Parameters<typeof askBounded>[0], 'method' | 'path' | 'headers' | 'body'>,
  environment: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<NonNullable<EvidenceTypes['page']>['login']> {
  const login = a.config.models?.login;
  if (!login) throw new Error('models.login of appliance.yaml does not say how somebody logs in');
  if (asker.access === 'viewer') throw new Error('viewers may not send requests');
  const [username, password] = [environment[login.user], environment[login.password]];
  if (username === undefined || password === undefined)
    return {
      status: null,
      problem: `the environment of the release has no ${login.user} or ${login.password}`,
      token: false,
    };
  const body = JSON.stringify({ username, password });
  try {
    const headers = { ...markHeader, 'content-type': 'application/json' };
    const { status, text } = await askBounded({ ...to, method: 'POST', path: login.path, headers, body }, signal);
    const token = z.looseObject({ access_token: z.string().min(1) }).safeParse(parsed(text)).success;
    return { status, problem: null, token: status === 200 && token };
  } catch (error) {
    signal.throwIfAborted();
    return { status: null, problem: messageOf(error), token: false };
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
