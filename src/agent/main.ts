import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { OperationResult } from '../api/schema.ts';
import { serve } from '../api/server.ts';
import { keepLastGood } from '../config/index.ts';
import { notifyReady } from '../host/service-manager.ts';
import { type Clock, systemClock, timestamp } from '../lib/clock.ts';
import { asApplianceError } from '../lib/errors.ts';
import { createLog, type Log } from '../lib/log.ts';
import { pathsFor } from '../lib/paths.ts';
import type { RunnerEvent } from '../operations/runner.ts';
import { type Appliance, openAppliance } from './appliance.ts';
import { watchBackups } from './backup-watch.ts';
import { bringBack } from './bring-back.ts';
import { EventHub } from './events.ts';
import { type Generation, Generations } from './generations.ts';
import { createHandlers } from './handlers.ts';
import { groupId, loginOfCaller, userName } from './identity.ts';
import { takeWriterLock } from './in-process.ts';
import { giveBack } from './memory.ts';
import { Reporter } from './metrics/reporter.ts';
import { watchRegistry } from './registry-watch.ts';
import { Renewals } from './renewals.ts';
import { openState } from './state.ts';
import { everyMinute } from './ticker.ts';
import { tidy } from './tidy.ts';
import { Turns } from './turns.ts';

/** How long an agent waits for a command that does its work, in milliseconds; the supervisor starts it again anyway. */
const lockWait = 20_000;
/** Access log of the edge: rotated at this size, in bytes, this many kept. */
const accessLog = { maxBytes: 50_000_000, keep: 5 } as const;
/** Milliseconds between two looks at its size. */
const rotationPeriod = 60_000;

/** Milliseconds between two looks at the space that is kept back, and at what a full disk has left open. */
const upkeepPeriod = 5_000;

/** Milliseconds from the end of an operation until the memory is given back that it has needed. */
const settling = 3_000;

/** How long a status waits for the first look at the engine, in milliseconds. */
const firstLook = 2_000;
/** How long it waits until the events that have come are looked at. */
const longestLag = 1_000;

export interface AgentOptions {
  readonly root: string | undefined;
  readonly clock?: Clock;
  /** Told of each transition of an operation after it stands in the journal and before the work goes on. */
  readonly onTransition?: (event: RunnerEvent) => void | Promise<void>;
}

/**
 * The long-running process: takes the lock, finishes or takes back what was open, then listens until SIGTERM.
 * @returns the exit status
 */
export async function runAgent(options: AgentOptions): Promise<number> {
  const paths = pathsFor(options.root);
  const clock = options.clock ?? systemClock;
  mkdirSync(paths.log, { recursive: true, mode: 0o755 });
  // Where systemd keeps the output, whoever looks there finds what the agent did. A supervisor's log stays for crashes.
  const log = await createLog(join(paths.log, 'agent.log'), process.env.JOURNAL_STREAM ? process.stderr : undefined);
  const stop = new AbortController();
  const terminate = (): void => stop.abort();
  process.once('SIGTERM', terminate);
  process.once('SIGINT', terminate);
  const lock = await takeWriterLock(paths, 'agent', lockWait);
  try {
    const database = openState(paths);
    const hub = new EventHub();
    const turns = new Turns(clock);
    void giveBackAfterOperations(hub, stop.signal);
    const since = timestamp(clock.now());
    let tidied: Promise<void> | undefined;
    const open = async (): Promise<Generation> => {
      const appliance = await openAppliance({
        paths,
        clock,
        database,
        hub,
        turns,
        onError: (error) => log.error({ error: error.message }, 'nobody waited for this'),
        ...(options.onTransition ? { onTransition: options.onTransition } : {}),
      });
      // Before anything of ours begins to write: a file that is being written looks like one that a crash has left.
      tidied ??= tidy(appliance);
      await tidied;
      await keepLastGood(paths.config, paths.lib);
      const ended = new AbortController();
      const { watch } = appliance;
      const signal = AbortSignal.any([stop.signal, ended.signal]);
      const following = watch.follow(
        signal,
        () => hub.publish({ event: 'status', time: timestamp(clock.now()) }),
        (ids) => {
          bringBack({ ...appliance, log }, ids).catch((error: unknown) =>
            log.error({ error: asApplianceError(error).message }, 'not started again after the engine came back'),
          );
        },
      );
      const alerting = appliance.alerting.follow(signal);
      const models = appliance.modelService?.follow(signal);
      const registry = watchRegistry(appliance, signal);
      const renewals = new Renewals(appliance, log).follow(signal);
      // A status before the first look at the engine would say that nothing runs.
      const looked = Promise.race([watch.known, clock.sleep(firstLook)]);
      const handlers = createHandlers(appliance, {
        agent: { running: true, pid: process.pid, since },
        fresh: async () => {
          await looked;
          await Promise.race([watch.caughtUp(), clock.sleep(longestLag)]);
        },
        configProblem: () => generations.problem,
        watch: () => generations.current.appliance.watch,
      });
      return {
        appliance,
        handlers,
        stop: async () => {
          ended.abort();
          await following;
          await alerting;
          await models;
          await registry;
          await renewals;
          appliance.retire();
        },
      };
    };
    const generations: Generations = await Generations.start({ path: paths.config, open, turns, clock });
    const { config, operations } = generations.current.appliance;
    new Reporter({
      hub,
      appliance: () => generations.current.appliance,
      agent: { running: true, pid: process.pid, since },
      onError: (error) => log.warn({ error: asApplianceError(error).message }, 'metrics not written'),
    }).start(stop.signal);
    // Whoever asks while old work is being settled is told so, instead of finding nobody.
    const settling = operations.recover(stop.signal);
    const close = await serve({
      paths,
      handlersFor: (name, asked) => generations.handlersFor(name, asked),
      userName,
      loginOf: (pid, nonce) => loginOfCaller(pid, nonce),
      groups: { operators: groupId(config.agent.operators), viewers: groupId(config.agent.viewers) },
      onError: (error) =>
        log.error(
          { error: asApplianceError(error).message, stack: error instanceof Error ? error.stack : undefined },
          'request failed',
        ),
    });
    log.info({ pid: process.pid, name: config.name }, 'agent started');
    notifyReady().catch((error: unknown) =>
      log.error({ error: asApplianceError(error).message }, 'systemd was not told that the agent serves'),
    );
    // Not awaited: a rollout that goes on may take many hours.
    settling.then(
      (settled) => logSettled(log, settled),
      (error: unknown) => log.error({ error: asApplianceError(error).message }, 'an open operation was not settled'),
    );
    const rotation = setInterval(() => {
      generations.current.appliance.traffic
        .rotateAccessLog(accessLog)
        .catch((error: unknown) => log.warn({ error: asApplianceError(error).message }, 'access log not rotated'));
    }, rotationPeriod);
    const upkeep = setInterval(() => {
      keepRoom(generations.current.appliance, log, stop.signal).catch((error: unknown) =>
        log.warn({ error: asApplianceError(error).message }, 'no upkeep'),
      );
    }, upkeepPeriod);
    everyMinute(() => {
      // By the configuration as it stands on disk, like every request.
      generations.handlersFor('schedule', { wait: 0, signal: stop.signal }).then(
        () => {
          sampleUsage(generations.current.appliance, log);
          generations.current.appliance.schedule.tick(stop.signal);
          watchBackups(generations.current.appliance);
        },
        (error: unknown) => log.error({ error: asApplianceError(error).message }, 'the schedule was not looked at'),
      );
    }, stop.signal);
    if (!stop.signal.aborted)
      await new Promise((resolve) => stop.signal.addEventListener('abort', resolve, { once: true }));
    log.info('agent stopping');
    clearInterval(rotation);
    clearInterval(upkeep);
    const last = generations.current;
    last.appliance.operations.stop();
    await last.appliance.operations.idle();
    await close();
    await last.stop();
    database.close();
    return 0;
  } catch (error) {
    log.error({ error: asApplianceError(error).message }, 'agent ended');
    throw error;
  } finally {
    process.off('SIGTERM', terminate);
    process.off('SIGINT', terminate);
    lock.release();
    await log.flush();
  }
}

function logSettled(log: Log, results: readonly OperationResult[]): void {
  for (const { operation, kind, result } of results)
    log.warn({ operation, kind, result }, 'settled an operation that was cut short');
}

/** Keeps space back for a full disk, and settles what such a day has left open once there is room again. */
async function keepRoom({ ballast, operations }: Appliance, log: Log, signal: AbortSignal): Promise<void> {
  if (ballast.roomy) logSettled(log, await operations.recover(signal));
  if (!operations.reports.running() && (await ballast.restore())) log.info('space is kept back for a full disk');
}

/** Measures containers for the looks after a deploy; what cannot be written down is measured again in a minute. */
function sampleUsage({ followUps }: Appliance, log: Log): void {
  try {
    followUps.sample();
  } catch (error) {
    log.warn({ error: asApplianceError(error).message }, 'the use of containers was not written down');
  }
}

/** An operation makes the process grow, and what it has done is told first. */
async function giveBackAfterOperations(hub: EventHub, signal: AbortSignal): Promise<void> {
  for await (const { event } of hub.subscribe(signal)) {
    if (event === 'operation-ended') setTimeout(giveBack, settling).unref();
  }
}
