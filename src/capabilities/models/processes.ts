import { z } from 'zod';
import type { ModelsConfig } from '../../config/models.ts';
import { askHttp, type HttpAnswer } from '../../host/http.ts';
import type { Clock } from '../../lib/clock.ts';
import { ApplianceError, messageOf } from '../../lib/errors.ts';

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
  readonly said: string;
}

export interface ProcessesDeps {
  readonly config: ModelsConfig;
  readonly clock: Clock;
  /** Running replicas of the service that loads the model, on the live colour. */
  readonly replicas: () => Promise<readonly Replica[]>;
  /** Environment of the live release: user and password stand in it. */
  readonly environment: () => Promise<Readonly<Record<string, string>>>;
}

/** Milliseconds for one answer. */
const answerTime = 2_000;
const largestAnswer = 1_000_000;
/** A token is asked for again after this, in milliseconds: tokens of an hour are the shortest in use. */
const tokenLife = 600_000;

const activeSchema = z.looseObject({ sha256: z.string(), version: z.string().optional() });
const tokenSchema = z.looseObject({ access_token: z.string().min(1) });

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
        try {
          const { status, text } = await this.#ask(replica, active, { method: 'GET' }, signal);
          if (status !== 200) return { replica, sha256: null, said: `it answers ${active} with ${status}` };
          const { sha256, version } = activeSchema.parse(JSON.parse(text));
          return { replica, sha256, said: `it has loaded ${version ?? sha256.slice(0, 12)}` };
        } catch (error) {
          signal.throwIfAborted();
          return { replica, sha256: null, said: messageOf(error).split('\n', 1)[0] ?? '' };
        }
      }),
    );
  }

  /**
   * Asks each process to load what is in force. What it answers is no proof; `loaded` is.
   * @returns what went wrong, for people; null when all have accepted, or watch by themselves
   */
  async reload(replicas: readonly Replica[], signal: AbortSignal): Promise<string | null> {
    const { reload } = this.#deps.config;
    if (reload === undefined) return null;
    const refusals = await Promise.all(
      replicas.map(async (replica) => {
        try {
          const { status, text } = await this.post(replica, reload, {}, signal);
          return status < 300 ? [] : [`${replica.name} answers ${status}: ${text.slice(0, 200)}`];
        } catch (error) {
          signal.throwIfAborted();
          return [`${replica.name}: ${messageOf(error)}`];
        }
      }),
    );
    return refusals.flat().join('; ') || null;
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
    const token = tokenSchema.safeParse(status === 200 ? JSON.parse(text) : undefined);
    if (!token.success) throw refused(`it answers the login with ${status}`);
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
    const limited = AbortSignal.any([signal, AbortSignal.timeout(answerTime)]);
    const url = `http://${address}:${this.#deps.config.port}${path}`;
    return askHttp(url, { ...question, maxBytes: largestAnswer, signal: limited });
  }
}
