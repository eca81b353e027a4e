import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { ContainerWatch } from '../../src/agent/containers.ts';
import type { ContainerDetail, ContainerSummary, Engine, EngineEvent } from '../../src/host/docker.ts';
import { systemClock } from '../../src/lib/clock.ts';

const detail = (id: string, state: string): ContainerDetail =>
  ({
    id,
    name: id,
    state,
    running: state === 'running',
    pid: 0,
    labels: {},
  }) as Partial<ContainerDetail> as ContainerDetail;

/** An engine whose answers and events come when a test says so. */
class SlowEngine {
  readonly lists: PromiseWithResolvers<ContainerSummary[]>[] = [];
  readonly looks: { readonly id: string; readonly answer: (detail: ContainerDetail | undefined) => void }[] = [];
  readonly #events: EngineEvent[] = [];
  #told = Promise.withResolvers<void>();

  containers(): Promise<ContainerSummary[]> {
    const list = Promise.withResolvers<ContainerSummary[]>();
    this.lists.push(list);
    return list.promise;
  }

  inspect(id: string): Promise<ContainerDetail | undefined> {
    const { promise, resolve } = Promise.withResolvers<ContainerDetail | undefined>();
    this.looks.push({ id, answer: resolve });
    return promise;
  }

  tell(action: string, id: string): void {
    this.#events.push({ action, id, attributes: {} });
    this.#told.resolve();
  }

  async *containerEvents(): AsyncGenerator<EngineEvent> {
    for (;;) {
      const event = this.#events.shift();
      if (event) yield event;
      else {
        this.#told = Promise.withResolvers();
        await this.#told.promise;
      }
    }
  }
}

const watchOf = (engine: SlowEngine) =>
  new ContainerWatch({
    engine: engine as Partial<Engine> as Engine,
    clock: systemClock,
    name: 'shop',
    live: () => null,
  });

/** A watch that has seen these containers, and follows. */
async function watching(...ids: readonly string[]) {
  const engine = new SlowEngine();
  const watch = watchOf(engine);
  const stop = new AbortController();
  onTestFinished(() => stop.abort());
  void watch.follow(stop.signal, () => undefined);
  const before = watch.problem;
  engine.lists[0]?.resolve(ids.map((id) => ({ id }) as ContainerSummary));
  await nextTurn();
  for (const { id, answer } of engine.looks.splice(0)) answer(detail(id, 'created'));
  await watch.known;
  await nextTurn();
  const states = () => Object.fromEntries(watch.details().map(({ id, state }) => [id, state]));
  return { engine, watch, before, states };
}

it('says before its first look that nobody has looked, and not that nothing is there', async () => {
  const { watch, before } = await watching('a');
  expect(before).toMatchObject({ code: 'engine_unreachable', message: 'the Docker Engine has not answered yet' });
  expect(watch.problem).toBeUndefined();
});

it('has caught up when it has looked at every container that the engine has told of', async () => {
  const { engine, watch, states } = await watching('a', 'b');
  engine.tell('start', 'a');
  engine.tell('start', 'b');
  await nextTurn();
  let caughtUp = false;
  void watch.caughtUp().then(() => {
    caughtUp = true;
  });
  for (const id of ['a', 'b']) {
    await nextTurn();
    await nextTurn();
    expect(caughtUp).toBe(false);
    expect(engine.looks.map((look) => look.id)).toEqual([id]);
    engine.looks.shift()?.answer(detail(id, 'running'));
  }
  await watch.caughtUp();
  expect(states()).toEqual({ a: 'running', b: 'running' });
});

it('does not go back to what it was told before by an answer that comes late', async () => {
  const { engine, watch, states } = await watching('a');
  const refreshed = watch.refresh();
  engine.lists[1]?.resolve([{ id: 'a' } as ContainerSummary]);
  await nextTurn();
  engine.tell('start', 'a');
  await nextTurn();
  const [late, current] = engine.looks;
  current?.answer(detail('a', 'running'));
  await watch.caughtUp();
  late?.answer(detail('a', 'created'));
  await refreshed;
  expect(states()).toEqual({ a: 'running' });
});

it('has every container in view for each of two who ask at once', async () => {
  const engine = new SlowEngine();
  const watch = watchOf(engine);
  const seen = [0, 1].map(() => watch.refresh().then(() => watch.details().map(({ id }) => id)));
  for (const { resolve } of engine.lists) resolve([{ id: 'a' } as ContainerSummary]);
  await nextTurn();
  for (const { id, answer } of engine.looks) {
    answer(detail(id, 'running'));
    await nextTurn();
  }
  expect(await Promise.all(seen)).toEqual([['a'], ['a']]);
});

it('knows no container that was removed while it looked, and every one that came while it listed', async () => {
  const { engine, watch, states } = await watching('a');
  const refreshed = watch.refresh();
  engine.tell('start', 'b');
  await nextTurn();
  engine.looks.shift()?.answer(detail('b', 'running'));
  await watch.caughtUp();
  engine.lists[1]?.resolve([{ id: 'a' } as ContainerSummary]);
  await nextTurn();
  engine.tell('destroy', 'a');
  await nextTurn();
  engine.looks.shift()?.answer(detail('a', 'created'));
  await refreshed;
  expect(states()).toEqual({ b: 'running' });
});
