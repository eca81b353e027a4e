import { setImmediate as nextTurn } from 'node:timers/promises';
import type { ServiceStat, ServiceStatus } from '../api/schema.ts';
import { readUsage, type Usage } from '../host/cgroup.ts';
import type { ContainerDetail, Engine } from '../host/docker.ts';
import type { Clock } from '../lib/clock.ts';
import { type Colour, colours } from '../lib/colour.ts';
import { ApplianceError } from '../lib/errors.ts';

/** How often usage is read from the kernel, in milliseconds. */
const samplePeriod = 5_000;
/** Pause before the engine is asked again after it went away, in milliseconds. */
const retryPause = 1_000;

interface Watched {
  readonly detail: ContainerDetail;
  usage: Usage | undefined;
  cpuPercent: number | null;
  sampledAt: number;
}

/**
 * The containers of this appliance as they are. The engine is asked once, then its events say what changed; nothing is
 * polled from it.
 */
export class ContainerWatch {
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #label: string;
  readonly #live: () => Colour | null;
  readonly #watched = new Map<string, Watched>();
  readonly #known = Promise.withResolvers<void>();
  /** The last look at each container that was begun: an answer to an earlier one tells of the past. */
  readonly #looks = new Map<string, Promise<void>>();
  /** The look that an event has led to, while it lasts. */
  #looking: Promise<void> | undefined;
  #problem: ApplianceError | undefined = new ApplianceError(
    'engine_unreachable',
    'the Docker Engine has not answered yet',
    { left: 'nothing was touched', hint: 'ask again in a moment; appliance doctor says what is in the way' },
  );
  /** What ran when the engine went away; undefined while it answers. */
  #ranBefore: ReadonlySet<string> | undefined;
  #reached = false;
  #onChange: () => void = () => undefined;

  /** @param deps `live` tells the colour that shall serve, null before the first deploy */
  constructor(deps: {
    readonly engine: Engine;
    readonly clock: Clock;
    readonly name: string;
    readonly live: () => Colour | null;
  }) {
    this.#engine = deps.engine;
    this.#clock = deps.clock;
    this.#label = `appliance.name=${deps.name}`;
    this.#live = deps.live;
  }

  /** Why the list may be out of date: the engine does not answer, or has not answered yet. */
  get problem(): ApplianceError | undefined {
    return this.#problem;
  }

  /** Resolves when the engine was looked at for the first time, or could not be. */
  get known(): Promise<void> {
    return this.#known.promise;
  }

  /** Resolves when every event that has come is looked at. An engine that does not answer keeps whoever waits waiting. */
  async caughtUp(): Promise<void> {
    do {
      await this.#looking?.catch(() => undefined);
      // The next one begins as soon as the event behind it is read.
      await nextTurn();
    } while (this.#looking);
  }

  /** Asks the engine for everything, once. */
  async refresh(): Promise<void> {
    try {
      const before = [...this.#watched.keys()];
      const list = await this.#engine.containers([this.#label]);
      const known = new Set(list.map((container) => container.id));
      for (const id of before) if (!known.has(id)) this.#forget(id);
      await Promise.all(list.map((container) => this.#look(container.id)));
      this.#problem = undefined;
    } catch (error) {
      if (!(error instanceof ApplianceError)) throw error;
      this.#problem = error;
    } finally {
      this.#known.resolve();
    }
  }

  /**
   * Follows the engine's events, and reads usage from the kernel, until the signal aborts.
   * @param onStopped told of the containers that ran when the engine went away, or should at the first look, and do not
   *   run since it answers
   */
  async follow(
    signal: AbortSignal,
    onChange: () => void,
    onStopped: (ids: readonly string[]) => void = () => undefined,
  ): Promise<void> {
    this.#onChange = onChange;
    const sampler = setInterval(() => void this.sample(), samplePeriod);
    signal.addEventListener('abort', () => clearInterval(sampler), { once: true });
    while (!signal.aborted) {
      try {
        // Whatever ends this look at the engine ends its stream of events as well.
        const over = new AbortController();
        await this.#followOnce(AbortSignal.any([signal, over.signal]), onStopped).finally(() => over.abort());
      } catch (error) {
        if (signal.aborted) return;
        if (this.#reached) this.#ranBefore ??= this.#running();
        this.#problem =
          error instanceof ApplianceError
            ? error
            : new ApplianceError('engine_unreachable', 'the Docker Engine went away', { cause: error });
        this.#onChange();
      }
      await this.#clock.sleep(retryPause, signal).catch(() => undefined);
    }
  }

  #running(): Set<string> {
    return new Set(this.details().flatMap(({ id, running }) => (running ? [id] : [])));
  }

  /**
   * At the first look: core and live colour, if all of it is there and nothing runs. That is what an engine leaves that
   * was killed together with the last agent; `down` would have removed the containers.
   */
  #shouldRun(): ReadonlySet<string> | undefined {
    const live = this.#live();
    const ours = this.details().filter((container) => [null, live].includes(colourOf(container)));
    return live === null || ours.some(({ running }) => running) ? undefined : new Set(ours.map(({ id }) => id));
  }

  async #followOnce(signal: AbortSignal, onStopped: (ids: readonly string[]) => void): Promise<void> {
    const events = this.#engine.containerEvents([this.#label], this.#clock.now(), signal);
    const ahead = (): ReturnType<typeof events.next> => {
      const next = events.next();
      // It may fail while nobody waits for it yet; whoever does wait gets the error all the same.
      next.catch(() => undefined);
      return next;
    };
    // The engine may begin the stream after it has answered for the list: what fell between the two it tells of as well.
    let next = ahead();
    await this.refresh();
    this.#onChange();
    if (this.#problem) throw this.#problem;
    if (!this.#reached) this.#ranBefore ??= this.#shouldRun();
    this.#reached = true;
    if (this.#ranBefore) {
      // The engine restarts what its policies ask for before it answers: what is down now stays down.
      const runs = this.#running();
      const stopped = [...this.#ranBefore].filter((id) => this.#watched.has(id) && !runs.has(id));
      this.#ranBefore = undefined;
      if (stopped.length > 0) onStopped(stopped);
    }
    for (let event = await next; !event.done; event = await next) {
      next = ahead();
      if (event.value.action === 'destroy') this.#forget(event.value.id);
      else await this.#lookForEvent(event.value.id);
      this.#onChange();
    }
    throw new ApplianceError('engine_unreachable', 'the Docker Engine went away');
  }

  async #lookForEvent(id: string): Promise<void> {
    this.#looking = this.#look(id);
    try {
      await this.#looking;
    } finally {
      this.#looking = undefined;
    }
  }

  #forget(id: string): void {
    this.#watched.delete(id);
    this.#looks.delete(id);
  }

  #look(id: string): Promise<void> {
    const look: Promise<void> = this.#engine.inspect(id).then((detail) => {
      const last = this.#looks.get(id);
      // Somebody has begun to look since, and will know; or was told that it is gone.
      if (last !== look) return last;
      return this.#see(id, detail);
    });
    this.#looks.set(id, look);
    return look;
  }

  #see(id: string, detail: ContainerDetail | undefined): void {
    if (!detail) {
      this.#forget(id);
      return;
    }
    const old = this.#watched.get(id);
    const same = old !== undefined && old.detail.pid === detail.pid;
    this.#watched.set(id, {
      detail,
      usage: same ? old.usage : undefined,
      cpuPercent: same ? old.cpuPercent : null,
      sampledAt: same ? old.sampledAt : 0,
    });
  }

  /** Reads usage of every running container from the kernel; others get their turn after each. */
  async sample(): Promise<void> {
    for (const watched of [...this.#watched.values()]) {
      if (watched.detail.pid === 0) continue;
      const usage = readUsage(watched.detail.pid);
      const now = this.#clock.monotonic();
      if (usage && watched.usage) {
        const elapsed = (now - watched.sampledAt) * 1e6;
        watched.cpuPercent = Math.max(0, (100 * (usage.cpuNanoseconds - watched.usage.cpuNanoseconds)) / elapsed);
      }
      watched.usage = usage;
      watched.sampledAt = now;
      await nextTurn();
    }
  }

  details(): ContainerDetail[] {
    return [...this.#watched.values()].map(({ detail }) => detail);
  }

  /** Containers with what the kernel last said of them. */
  readings(): { readonly detail: ContainerDetail; readonly usage: Usage | undefined }[] {
    return [...this.#watched.values()].map(({ detail, usage }) => ({ detail, usage }));
  }

  services(): ServiceStatus[] {
    return this.#sorted().map(({ detail, usage, cpuPercent }) => ({
      name: serviceName(detail),
      project: detail.labels['com.docker.compose.project'] ?? '',
      colour: colourOf(detail),
      state: isFinishedJob(detail) ? 'completed' : detail.state,
      health: detail.health,
      image: detail.labels['appliance.image'] ?? detail.image,
      imageId: detail.imageId,
      cpuPercent: cpuPercent === null ? null : Math.round(cpuPercent * 10) / 10,
      memoryBytes: usage?.memoryBytes ?? null,
      restarts: detail.restarts,
      since: detail.running ? detail.startedAt : null,
    }));
  }

  stats(): ServiceStat[] {
    return this.#sorted().flatMap(({ detail, usage, cpuPercent }) =>
      usage === undefined
        ? []
        : [
            {
              service: serviceName(detail),
              colour: colourOf(detail),
              cpuPercent: cpuPercent === null ? null : Math.round(cpuPercent * 10) / 10,
              memoryBytes: usage.memoryBytes,
              memoryLimitBytes: usage.memoryLimitBytes,
              rxBytes: usage.rxBytes,
              txBytes: usage.txBytes,
              pids: usage.pids,
            },
          ],
    );
  }

  #sorted(): Watched[] {
    const order = (watched: Watched): string => `${colourOf(watched.detail) ?? ''} ${serviceName(watched.detail)}`;
    return [...this.#watched.values()].sort((a, b) => order(a).localeCompare(order(b)));
  }
}

/** A one-shot service that has done its work: exited, and not a failure. */
function isFinishedJob({ running, exitCode, labels }: ContainerDetail): boolean {
  return !running && exitCode === 0 && ['job', 'migrate'].includes(labels['appliance.role'] ?? '');
}

/** Name of the Compose service, one per replica: `backend-1`. */
export function serviceName(container: {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}): string {
  return container.labels['com.docker.compose.service'] ?? container.name;
}

export function colourOf(container: { readonly labels: Readonly<Record<string, string>> }): Colour | null {
  return colours.find((colour) => colour === container.labels['appliance.colour']) ?? null;
}
