import { z } from 'zod';
import type { ModelsConfig } from '../../config/models.ts';
import { askHttp, type HttpAnswer } from '../../host/http.ts';
import type { Clock } from '../../lib/clock.ts';
import { ApplianceError, messageOf } from '../../lib/errors.ts';
import { jsonText } from '../../lib/json.ts';

/** A running process that has a model loaded. */
export interface Replica {
  readonly id: string;
  /** Name of its container. */
  readonly name: string;
  /** Address inside of the host; undefined while it has none. */
  readonly address: string | undefined;
}

/** What a process says it has loaded. */
export interface Loaded {
  readonly replica: Replica;
  /** SHA-256 of the manifest; null when it does not say. */
  readonly sha256: string | null;
  /** The second version that it gives a share of the requests. */
  readonly candidate: z.output<typeof candidateSchema> | null;
  /** What each of its models has answered since it started, by digest. */
  readonly served: Readonly<Record<string, z.output<typeof servedSchema>>>;
  readonly said: string;
}

/** What every process is to report. */
export interface Expected {
  readonly sha256: string;
  /** The second version and its share; null: none. Left out where the application knows of no such thing. */
  readonly candidate?: { readonly sha256: string; readonly weight: number } | null;
}

/** What processes answered that were asked to load a model. */
export interface Reloaded {
  /** What went wrong, for people; null when all have accepted, or watch by themselves. */
  readonly refusal: string | null;
  /** Whether one has looked at the model and does not want it: started anew, it would have none. */
  readonly rejected: boolean;
}

export interface ProcessesDeps {
  readonly config: ModelsConfig;
  readonly clock: Clock;
  /** Running replicas of the service that loads the model, on the live colour. */
  readonly replicas: () => Promise<readonly Replica[]>;
  /** Environment of the live release: user and password stand in it. */
  readonly environment: () => Promise<Readonly<Record<string, string>>>;
}

/** Milliseconds for one answer. Work is begun before it is answered for, a password is slow to check on purpose. */
const answerTime = { GET: 2_000, POST: 10_000 };
const largestAnswer = 1_000_000;
/** A token is asked for again after this, in milliseconds: tokens of an hour are the shortest in use. */
const tokenLife = 600_000;

/** Statuses that tell of who asks and where, not of the model. */
const notOfTheModel: ReadonlySet<number> = new Set([401, 403, 404, 405, 408, 429]);

const candidateSchema = z.looseObject({ sha256: z.string(), weight: z.number() });
const servedSchema = z.object({ requests: z.number(), errors: z.number(), seconds: z.number() });
const activeSchema = z.looseObject({
  sha256: z.string(),
  version: z.string().optional(),
  candidate: candidateSchema.nullable().default(null),
  candidate_problem: z.string().nullable().default(null),
  served: z.record(z.string(), servedSchema).catch({}).default({}),
});
const tokenSchema = jsonText(z.looseObject({ access_token: z.string().min(1) }));

/** Talks to the running processes of the application about their model. */
export class ModelProcesses {
  readonly #deps: ProcessesDeps;
  #token: { readonly value: string; readonly at: number } | undefined;

  constructor(deps: ProcessesDeps) {
    this.#deps = deps;
  }

  replicas(): Promise<readonly Replica[]> {
    return this.#deps.replicas();
  }

  /** Asks each process which model it has loaded. Never throws but for the signal. */
  loaded(replicas: readonly Replica[], signal: AbortSignal): Promise<Loaded[]> {
    const { active } = this.#deps.config;
    return Promise.all(
      replicas.map(async (replica): Promise<Loaded> => {
        const silent = (said: string): Loaded => ({ replica, sha256: null, candidate: null, served: {}, said });
        try {
          const { status, text } = await this.#ask(replica, active, { method: 'GET' }, signal);
          if (status !== 200) return silent(`it answers ${active} with ${status}`);
          const {
            sha256,
            version,
            candidate,
            candidate_problem: problem,
            served,
          } = activeSchema.parse(JSON.parse(text));
          const beside = candidate ? ` and ${candidate.sha256.slice(0, 12)} for a share of ${candidate.weight}` : '';
          const said = `it has loaded ${version ?? sha256.slice(0, 12)}${beside}${problem === null ? '' : `; ${problem}`}`;
          return { replica, sha256, candidate, served, said };
        } catch (error) {
          signal.throwIfAborted();
          return silent(messageOf(error).split('\n', 1)[0] ?? '');
        }
      }),
    );
  }

  /** Asks each process to load what is in force. What it answers is no proof; `loaded` is. */
  async reload(replicas: readonly Replica[], signal: AbortSignal): Promise<Reloaded> {
    const { reload } = this.#deps.config;
    if (reload === undefined) return { refusal: null, rejected: false };
    let rejected = false;
    const refusals = await Promise.all(
      replicas.map(async (replica) => {
        try {
          const { status, text } = await this.post(replica, reload, {}, signal);
          if (status < 300) return [];
          rejected ||= status >= 400 && !notOfTheModel.has(status);
          return [`${replica.name} answers ${status}: ${text.slice(0, 200)}`];
        } catch (error) {
          signal.throwIfAborted();
          return [`${replica.name}: ${messageOf(error)}`];
        }
      }),
    );
    return { refusal: refusals.flat().join('; ') || null, rejected };
  }

  /** Posts JSON, logged in. @throws Error of the connection; ApplianceError `not_permitted` when nobody can log in */
  async post(replica: Replica, path: string, body: unknown, signal: AbortSignal): Promise<HttpAnswer> {
    return this.#authorised(replica, path, { method: 'POST', body }, signal);
  }

  async get(replica: Replica, path: string, signal: AbortSignal): Promise<HttpAnswer> {
    return this.#authorised(replica, path, { method: 'GET' }, signal);
  }

  async #authorised(
    replica: Replica,
    path: string,
    question: { readonly method: 'GET' | 'POST'; readonly body?: unknown },
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    if (!this.#deps.config.login) return this.#ask(replica, path, question, signal);
    const first = await this.#ask(replica, path, { ...question, token: await this.#login(replica, signal) }, signal);
    if (first.status !== 401) return first;
    this.#token = undefined;
    return this.#ask(replica, path, { ...question, token: await this.#login(replica, signal) }, signal);
  }

  async #login(replica: Replica, signal: AbortSignal): Promise<string> {
    const { config, clock, environment } = this.#deps;
    const { login } = config;
    const now = clock.monotonic();
    if (this.#token && now - this.#token.at < tokenLife) return this.#token.value;
    const values = await environment();
    const [username, password] = [values[login?.user ?? ''], values[login?.password ?? '']];
    const refused = (why: string): ApplianceError =>
      new ApplianceError('not_permitted', `nobody can log in to ${replica.name}: ${why}`, {
        hint: `look at models.login in appliance.yaml and at ${login?.user} and ${login?.password} in the environment file`,
      });
    if (username === undefined || password === undefined) throw refused('the environment of the release names no user');
    const body = { username, password };
    const { status, text } = await this.#ask(replica, login?.path ?? '/', { method: 'POST', body }, signal);
    const token = tokenSchema.safeParse(text);
    if (status !== 200 || !token.success) throw refused(`it answers the login with ${status}`);
    this.#token = { value: token.data.access_token, at: now };
    return this.#token.value;
  }

  #ask(
    { address, name }: Replica,
    path: string,
    question: { readonly method: 'GET' | 'POST'; readonly body?: unknown; readonly token?: string },
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    if (address === undefined) throw new Error(`${name} has no address`);
    const limited = AbortSignal.any([signal, AbortSignal.timeout(answerTime[question.method])]);
    const url = `http://${address}:${this.#deps.config.port}${path}`;
    return askHttp(url, { ...question, maxBytes: largestAnswer, signal: limited });
  }
}
