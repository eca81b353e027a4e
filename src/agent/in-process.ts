import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '../api/client.ts';
import { endpoints } from '../api/endpoints.ts';
import type { Caller, Handlers } from '../api/handlers.ts';
import { type Input, type Output, parseInput, type RouteName, routes, waitOf } from '../api/routes.ts';
import { dispatch, isStream } from '../api/server.ts';
import { acquireExclusive, type Exclusive } from '../host/exclusive.ts';
import { openDatabase } from '../host/sqlite.ts';
import { systemClock, timestamp } from '../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../lib/errors.ts';
import { type Paths, pathsFor } from '../lib/paths.ts';
import { type Appliance, openAppliance } from './appliance.ts';
import { bareDoctor } from './doctor/bare.ts';
import { bareSupport } from './doctor/support.ts';
import { createHandlers } from './handlers.ts';
import { processActor } from './identity.ts';
import { openState, openStateForReading, stateModules } from './state.ts';
import { tidy } from './tidy.ts';

/** Milliseconds between two tries to get the lock while waiting for it. */
const lockPause = 200;

/** Path of the lock that makes one process the writer. */
export function writerLock(paths: Paths): string {
  return join(paths.lib, 'writer.lock');
}

/**
 * The agent's work without an agent, in this very process: reading beside whoever writes, writing under the same lock
 * that the agent takes. So `ssh host appliance rollback v0.9` works on the worst day (DESIGN §1.6).
 */
export async function connectInProcess(options: { readonly root: string | undefined }): Promise<Client> {
  return new InProcessClient(pathsFor(options.root));
}

interface Host {
  readonly appliance: Appliance;
  readonly handlers: Handlers;
  readonly lock: Exclusive | undefined;
}

class InProcessClient implements Client {
  readonly host = 'in-process';
  readonly access = 'operator';
  readonly #paths: Paths;
  #reader: Promise<Host> | undefined;
  #writer: Promise<Host> | undefined;
  /** The operation that was open when this process became the writer. */
  #settled: string | undefined;

  constructor(paths: Paths) {
    this.#paths = paths;
  }

  async ask<Name extends RouteName>(name: Name, input: Input<Name>, signal?: AbortSignal): Promise<Output<Name>> {
    const { handlers } = await this.#hostFor(name, input);
    // The rollout was taken back while this process became the writer.
    if (name === 'abort' && this.#settled !== undefined)
      return routes[name].output.parse({ operation: this.#settled }) as Output<Name>;
    const result = dispatch(handlers, name, parseInput(name, input), this.#caller(signal));
    if (isStream(result)) throw new RangeError(`${name} is a stream`);
    return routes[name].output.parse(await result) as Output<Name>;
  }

  async *stream<Name extends RouteName>(
    name: Name,
    input: Input<Name>,
    signal?: AbortSignal,
  ): AsyncGenerator<Output<Name>> {
    const host = await this.#hostFor(name, input).catch((error: unknown) => this.#bare(name, error));
    const { handlers, appliance } = host;
    const operation = endpoints[name].access === 'operator';
    // Ctrl-C takes an operation back; its events go on until it has ended.
    const interrupt = (): void => appliance?.operations.interrupt();
    if (operation) signal?.addEventListener('abort', interrupt, { once: true });
    try {
      const result = dispatch(handlers, name, parseInput(name, input), this.#caller(operation ? undefined : signal));
      if (!isStream(result)) throw new RangeError(`${name} is not a stream`);
      for await (const document of result) yield document as Output<Name>;
    } catch (error) {
      if (!operation && signal?.aborted) return;
      throw error;
    } finally {
      signal?.removeEventListener('abort', interrupt);
    }
  }

  async close(): Promise<void> {
    for (const pending of [this.#reader, this.#writer]) {
      const host = await pending?.catch(() => undefined);
      await host?.appliance.operations.idle();
      host?.appliance.close();
      host?.lock?.release();
    }
  }

  /** What can be said of an appliance that cannot be opened. @throws the error, where nothing can */
  #bare(name: RouteName, error: unknown): { readonly handlers: Partial<Handlers>; readonly appliance: undefined } {
    if (name !== 'doctor' && name !== 'supportBundle') throw error;
    const why = asApplianceError(error);
    const doctor = bareDoctor(this.#paths, why);
    return { handlers: { ...doctor, ...bareSupport(this.#paths, systemClock, why, doctor) }, appliance: undefined };
  }

  #caller(signal: AbortSignal | undefined): Caller {
    return { actor: processActor(), access: 'operator', signal: signal ?? new AbortController().signal };
  }

  #hostFor(name: RouteName, input: unknown): Promise<Host> {
    if (endpoints[name].access === 'viewer') {
      this.#reader ??= this.#writer ?? this.#open(undefined);
      return this.#reader;
    }
    this.#writer ??= this.#becomeWriter(name, waitOf(input));
    return this.#writer;
  }

  async #becomeWriter(name: string, wait: number | null): Promise<Host> {
    const lock = await takeWriterLock(this.#paths, `appliance ${verbOf(name)}`, wait);
    try {
      const host = await this.#open(lock);
      await tidy(host.appliance);
      assertNoRollout(host.appliance, name);
      const settled = await host.appliance.operations.recover(new AbortController().signal);
      this.#settled = settled.at(-1)?.operation;
      return host;
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  async #open(lock: Exclusive | undefined): Promise<Host> {
    const database = lock
      ? openState(this.#paths)
      : existsSync(this.#paths.state)
        ? openStateForReading(this.#paths)
        : openDatabase(':memory:', stateModules);
    const appliance = await openAppliance({ paths: this.#paths, clock: systemClock, database });
    const handlers = createHandlers(appliance, {
      agent: { running: false, pid: null, since: null },
      fresh: () => appliance.watch.refresh(),
    });
    return { appliance, handlers, lock };
  }
}

/**
 * A rollout may take hours, which nobody would wait for who wanted something else. Without an agent it can be called off;
 * everything else about it is the agent's.
 * @throws ApplianceError `busy`
 */
function assertNoRollout({ rollouts }: Appliance, name: string): void {
  const open = rollouts.current();
  if (!open || open.stage === 0) return;
  if (name === 'abort') {
    rollouts.abort(processActor());
    return;
  }
  throw new ApplianceError('busy', `the rollout of ${open.to} is open at ${open.weight} %, and no agent runs it`, {
    left: 'it stays as it is; nothing was touched',
    hint: 'start the agent, which goes on with it, or take it back: appliance abort',
  });
}

/** What a person types for a route: `backup restore` for `backupRestore`. */
const verbOf = (route: string): string => route.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

/**
 * Becomes the one writer of an appliance.
 * @param wait milliseconds to wait for another writer; null where nobody can say `--wait`
 * @throws ApplianceError `busy` with who it is, what they do and since when; `not_permitted` without the right to write
 */
export async function takeWriterLock(paths: Paths, what: string, wait: number | null): Promise<Exclusive> {
  const until = systemClock.monotonic() + (wait ?? 0);
  while (true) {
    const { user } = processActor();
    const result = acquire(paths, { pid: process.pid, what, user, since: timestamp(systemClock.now()) });
    if ('release' in result) return result;
    if (systemClock.monotonic() >= until) {
      const { heldBy } = result;
      throw new ApplianceError(
        'busy',
        heldBy
          ? `${heldBy.what} by ${heldBy.user} holds the lock since ${heldBy.since} (process ${heldBy.pid})`
          : 'another process holds the lock',
        {
          left: 'it goes on; nothing was touched',
          hint: wait === null ? 'say it again when that has ended' : 'wait for it with --wait 5m',
        },
      );
    }
    await systemClock.sleep(lockPause);
  }
}

function acquire(paths: Paths, holder: Parameters<typeof acquireExclusive>[1]): ReturnType<typeof acquireExclusive> {
  try {
    return acquireExclusive(writerLock(paths), holder);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (!/EACCES|EPERM|EROFS|SQLITE_CANTOPEN|SQLITE_READONLY/.test(code)) throw error;
    throw new ApplianceError('not_permitted', `you may not write below ${paths.lib}`, {
      left: 'nothing was touched',
      hint: 'use sudo, or start the agent and join its operators',
      cause: error,
    });
  }
}
