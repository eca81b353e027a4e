import { isIP } from 'node:net';
import {
  type AcmeAuthorization,
  AcmeError,
  type AcmeOrder,
  type AcmeServer,
  describeProblem,
} from '../../host/acme.ts';
import type { Clock } from '../../lib/clock.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { type Responder, withdraw } from './challenges.ts';
import type { Answer, OrderFile, OrderState } from './order-state.ts';

export interface OrderDeps {
  readonly server: AcmeServer;
  readonly clock: Clock;
  readonly file: OrderFile;
  readonly responder: Responder;
  readonly challenge: 'http-01' | 'dns-01';
  /** See AcmeServer.certificate. */
  readonly chain: string | undefined;
  /** Told of each name whose validation failed, before anything else happens. */
  readonly onFailed: (name: string) => void;
  readonly progress: (text: string) => void;
}

/** Milliseconds between two looks at what the authority is doing. */
const shortest = 250;
const longest = 10_000;

/**
 * Takes an order from wherever it is to its certificate. Everything that a later run needs is on disk before the authority
 * hears of it, so a process may end at any point, and the next one goes on.
 * @param replaces see AcmeServer.newOrder
 * @param until by the monotonic clock, in milliseconds: what is not done by then is left for the next attempt
 * @returns the chain in PEM
 * @throws AcmeError; ApplianceError `certificate_refused` with the reason for each name
 */
export async function completeOrder(
  state: OrderState,
  key: string,
  { replaces, until }: { readonly replaces: string | undefined; readonly until: number },
  deps: OrderDeps,
  signal: AbortSignal,
): Promise<string> {
  const { server, progress } = deps;
  const known =
    state.url === null
      ? await begin(state, replaces, deps, signal)
      : { state, order: await server.order({ url: state.url }, signal) };
  const current = { ...known };
  const wait = waiter(deps, until, signal);
  if (current.order.status === 'pending') {
    current.state = await prove(current.state, current.order, deps, wait, signal);
    current.order = await server.order(current.order, signal);
  }
  let finalised = false;
  while (current.order.status !== 'valid') {
    const { status } = current.order;
    if (status === 'invalid') throw await refusal(current.order, deps, signal);
    if (status === 'ready' && !finalised) {
      progress('asking for the certificate');
      finalised = true;
      current.order = await server.finalize(current.order, key, signal);
      continue;
    }
    await wait(`the order is ${status}`);
    current.order = await server.order(current.order, signal);
  }
  const chain = await server.certificate(current.order, deps.chain, signal);
  await withdraw(current.state.answers, deps, signal);
  return chain;
}

async function begin(
  state: OrderState,
  replaces: string | undefined,
  { server, file, progress }: OrderDeps,
  signal: AbortSignal,
): Promise<{ state: OrderState; order: AcmeOrder }> {
  progress('placing the order');
  const about = {
    names: state.names.filter((name) => isIP(name) === 0),
    addresses: state.names.filter((name) => isIP(name) !== 0),
    profile: state.profile ?? undefined,
  };
  const order = await server.newOrder({ ...about, replaces }, signal).catch((error: unknown) => {
    // What is replaced only helps the authority (RFC 9773 §5): it may be replaced already, unknown to it, or another account's.
    const answered = error instanceof AcmeError && error.type !== undefined && error.failure !== 'limited';
    if (replaces === undefined || !answered) throw error;
    return server.newOrder(about, signal);
  });
  const placed = { ...state, url: order.url };
  await file.write(placed);
  return { state: placed, order };
}

/** Answers the challenges of all names that still need it, then lets the authority look. */
async function prove(
  state: OrderState,
  order: AcmeOrder,
  deps: OrderDeps,
  wait: (what: string) => Promise<void>,
  signal: AbortSignal,
): Promise<OrderState> {
  const { server, file, responder, challenge, progress } = deps;
  const open = (await server.authorizations(order, signal)).filter(({ status }) => status === 'pending');
  const tasks = await Promise.all(
    open.map(async (authorization) => {
      const found = authorization.challenges.find(({ type }) => type === challenge);
      const name = nameOf(authorization);
      if (!found)
        throw new ApplianceError('certificate_refused', `the authority offers no ${challenge} for ${name}`, {
          left: 'the certificate in force stays',
          hint: `it offers ${authorization.challenges.map(({ type }) => type).join(', ') || 'nothing'}: certificates.acme.challenge in appliance.yaml`,
        });
      const value = await server.keyAuthorization(found);
      const answer: Answer = { name, type: challenge, token: found.token, value };
      return { authorization, found, answer };
    }),
  );
  const answers = [...state.answers];
  for (const { answer } of tasks) if (!answers.some(({ token }) => token === answer.token)) answers.push(answer);
  // Before they are there, so that they are taken away in any case.
  const noted = { ...state, answers };
  await file.write(noted);
  for (const { answer } of tasks) {
    progress(`answering for ${answer.name}`);
    await responder.present(answer, signal);
  }
  for (const { found, authorization } of tasks) {
    if (found.status === 'pending')
      await server.accept(found, signal).catch((error: unknown) => looked(error, server, authorization.url, signal));
  }
  for (const { authorization } of tasks) {
    progress(`waiting until the authority has looked at ${nameOf(authorization)}`);
    let now = await server.authorization(authorization.url, signal);
    while (now.status === 'pending') {
      await wait(`${nameOf(authorization)} is not validated`);
      now = await server.authorization(authorization.url, signal);
    }
    if (now.status !== 'valid') break;
  }
  return noted;
}

/** A process before this one may have told the authority already; then it says no, and has looked. */
async function looked(error: unknown, server: AcmeServer, authorization: string, signal: AbortSignal): Promise<void> {
  if (!(error instanceof AcmeError) || error.failure !== 'refused') throw error;
  const { status, challenges } = await server.authorization(authorization, signal);
  if (status === 'pending' && challenges.every((one) => one.status === 'pending')) throw error;
}

/** Why an order became invalid: the reason that each of its names was given. */
async function refusal(order: AcmeOrder, deps: OrderDeps, signal: AbortSignal): Promise<ApplianceError> {
  const reasons: string[] = [];
  for (const authorization of await deps.server.authorizations(order, signal)) {
    if (authorization.status !== 'invalid') continue;
    const name = nameOf(authorization);
    deps.onFailed(name);
    const problem = authorization.challenges
      .map(({ error }) => describeProblem(error))
      .find((text) => text !== undefined);
    reasons.push(`${name}: ${problem ?? 'without a reason'}`);
  }
  const why = reasons.join('; ') || (describeProblem(order.error) ?? 'without a reason');
  return new ApplianceError('certificate_refused', `the authority could not validate ${why}`, {
    left: 'the certificate in force stays and goes on being served',
    hint: 'mend what it names, then try without effect: appliance certs dry-run',
  });
}

/** Waits as long as the authority asks for, if there is time; a pause that is longer is for a later attempt. */
function waiter({ server, clock }: OrderDeps, until: number, signal: AbortSignal): (what: string) => Promise<void> {
  let pause = shortest;
  return async (what) => {
    const asked = server.retryAfter;
    const next = Math.max(shortest, asked ?? pause);
    pause = Math.min(longest, pause * 1.5);
    if (clock.monotonic() + next > until)
      throw new AcmeError('limited', `${what} yet; the authority has not finished in time`, {
        retryAfter: asked ?? longest,
      });
    await clock.sleep(next, signal);
  };
}

function nameOf({ identifier, wildcard }: Pick<AcmeAuthorization, 'identifier' | 'wildcard'>): string {
  return wildcard ? `*.${identifier.value}` : identifier.value;
}
