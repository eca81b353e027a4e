import type { Client } from '../../api/client.ts';
import { failureLine, successLine } from '../../api/describe.ts';
import type { Input } from '../../api/routes.ts';
import type { OperationResult } from '../../api/schema.ts';
import { describeDrain } from '../../lib/drain.ts';
import { ApplianceError, exitCodes } from '../../lib/errors.ts';
import { parseDuration } from '../../lib/units.ts';
import { errorLines } from '../exit.ts';
import { mark, speak } from '../output/look.ts';
import { Progress } from '../output/progress.ts';
import type { Session } from '../session.ts';

/** Requests that start or follow an operation and answer with its events. */
export type OperationRoute =
  | 'alertsDrill'
  | 'backupNow'
  | 'backupPrune'
  | 'modelsPromote'
  | 'modelsRollback'
  | 'modelsRetrain'
  | 'backupRecover'
  | 'backupRestore'
  | 'certsIssue'
  | 'certsRenew'
  | 'certsImport'
  | 'certsDryRun'
  | 'deploy'
  | 'rollback'
  | 'up'
  | 'down'
  | 'restart'
  | 'prune'
  | 'backupDrill'
  | 'scheduleRun'
  | 'follow';

interface Order<Route extends OperationRoute> {
  readonly route: Route;
  readonly input: Input<Route>;
  /** `deploy v1.0`, for people. */
  readonly title: string;
  readonly detach?: boolean;
}

/** Milliseconds that a bare `--wait` waits: a week, longer than any operation, shorter than the longest timer. */
const longestWait = 604_800_000;

/** Milliseconds to wait for the lock, from `--wait [DURATION]`. */
export function waitOf(option: string | true | undefined): number {
  if (option === undefined) return 0;
  return option === true ? longestWait : Math.min(parseDuration(option), longestWait);
}

/**
 * Runs an operation and shows it to its end.
 * @returns the exit status of the operation; 130 when the caller let go of it
 */
export async function operate<Route extends OperationRoute>(session: Session, order: Order<Route>): Promise<number> {
  const { json, quiet, verbose } = session.globals;
  const progress = new Progress(session.world.stderr, session.err, { quiet: quiet || json, verbose });
  session.keepGoingWithoutOutput();
  progress.begin(order.title);
  try {
    const client = await session.client();
    if (order.detach && client.host === 'in-process') {
      throw new ApplianceError('agent_unreachable', '--detach needs a running agent, and none answers', {
        left: 'nothing was touched',
        hint: 'start the agent, or leave out --detach',
      });
    }
    const hold = new Hold(session, client, order.title, progress);
    if (hold.letGo) throw hold.letGo;
    const result = await watch(session, client, order, hold, progress);
    progress.end();
    if (result) return report(session, result, hold.letGo);
    if (order.detach && !hold.letGo) return detached(session, order.title, hold.operation);
    throw hold.letGo ?? lost();
  } finally {
    progress.end();
  }
}

/** Reads the events of an operation. @returns its result, or undefined when it was let go of before its end */
async function watch<Route extends OperationRoute>(
  session: Session,
  client: Client,
  order: Order<Route>,
  hold: Hold,
  progress: Progress,
): Promise<OperationResult | undefined> {
  const events = client.stream(order.route, order.input, hold.signal)[Symbol.asyncIterator]();
  for (;;) {
    const next = await Promise.race([events.next(), hold.gone]);
    if (next === undefined || next.done) return undefined;
    const event = next.value;
    if (event.event === 'operation-ended') return event.result;
    if (event.event === 'operation-started') hold.operation = event.operation;
    if (session.globals.json) session.document(event);
    progress.take(event);
    if (order.detach && hold.operation !== undefined) return undefined;
  }
}

/** Prints how an operation ended. @param letGo set when the caller had asked it to stop */
function report(session: Session, result: OperationResult, letGo: ApplianceError | undefined): number {
  const exit = result.result === 'done' ? exitCodes.done : (letGo?.exit ?? exitOf(result));
  if (session.globals.json) {
    session.document(result);
    return exit;
  }
  for (const drain of result.drains ?? [])
    if (drain.open !== 0) session.note(`${drain.colour}: ${describeDrain(drain)}`);
  if (result.result === 'done') {
    session.print(`${mark(session.out, 'pass')} ${speak(session.out, successLine(result))}`);
  } else {
    const error = ApplianceError.fromBody({
      code: result.result === 'manual' ? 'manual_intervention' : 'operation_failed',
      message: failureLine(result),
      left: result.error?.left,
      hint: result.error?.hint,
      exit,
    });
    session.world.stderr.write(`${errorLines(error, session.err, false).join('\n')}\n`);
  }
  return exit;
}

function exitOf(result: OperationResult): number {
  if (result.result === 'manual') return exitCodes.manual;
  return result.error?.exit || exitCodes.failed;
}

function detached(session: Session, title: string, operation: string | undefined): number {
  session.note(`${title} goes on in the agent; follow it with: appliance follow ${operation ?? ''}`.trimEnd());
  return exitCodes.done;
}

function lost(): ApplianceError {
  return new ApplianceError('agent_unreachable', 'the agent went away before the operation ended', {
    left: 'the operation is finished or taken back when the agent starts again',
    hint: 'appliance status shows how things are',
  });
}

const codeOf = (reason: unknown): string | undefined => (reason instanceof ApplianceError ? reason.code : undefined);

/** The caller's hold on a running operation: what Ctrl-C and `--timeout` do to it. */
class Hold {
  /** Id of the operation, once it has begun. */
  operation: string | undefined;
  /** Why the caller let go; undefined while nobody did. */
  letGo: ApplianceError | undefined;
  /** Resolves when there is nothing to wait for any more: the operation has not begun, or it goes on elsewhere. */
  readonly gone: Promise<undefined>;
  readonly #controller = new AbortController();
  readonly #client: Client;
  readonly #title: string;

  constructor(session: Session, client: Client, title: string, progress: Progress) {
    this.#client = client;
    this.#title = title;
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.gone = promise;
    const release = (code: 'interrupted' | 'timeout') => {
      this.letGo = this.#reason(code);
      if (client.host === 'in-process' && this.operation !== undefined) {
        progress.say('stopping; what was done is being taken back. Ctrl-C again leaves that to the next start');
      } else {
        session.leaveClientOpen();
        resolve(undefined);
      }
      this.#controller.abort(this.letGo);
    };
    session.handleInterrupt(() => {
      if (this.letGo) session.world.exit(exitCodes.interrupted);
      release('interrupted');
    });
    session.signal.addEventListener('abort', () => release('timeout'), { once: true });
    // Ctrl-C while the program was still starting.
    const early: unknown = session.signal.reason;
    if (session.signal.aborted) release(codeOf(early) === 'timeout' ? 'timeout' : 'interrupted');
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  #reason(code: 'interrupted' | 'timeout'): ApplianceError {
    const why = code === 'timeout' ? 'the time of --timeout is up' : 'interrupted';
    if (this.operation === undefined) {
      return new ApplianceError(code, `${why} before ${this.#title} began`, { left: 'nothing was touched' });
    }
    if (this.#client.host === 'in-process') {
      return new ApplianceError(code, `${why}: ${this.#title} was stopped`, { left: 'what it had done is taken back' });
    }
    return new ApplianceError(code, `${why}; ${this.#title} goes on in the agent`, {
      hint: `follow it with: appliance follow ${this.operation}`,
    });
  }
}
