import { setImmediate as nextTurn } from 'node:timers/promises';
import { MessageChannel } from 'node:worker_threads';
import type { Key } from 'ink';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Client } from '../../src/api/client.ts';
import type { ApplianceEvent } from '../../src/api/schema.ts';
import { connectSocket } from '../../src/api/socket.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { ApplianceError } from '../../src/lib/errors.ts';
import { pathsFor } from '../../src/lib/paths.ts';
import { DocumentFeed } from '../../src/tui/document-feed.ts';
import { Feed } from '../../src/tui/feed.ts';
import { keyNames, mouseKeys } from '../../src/tui/keys.ts';
import { follow, fromStatus } from '../../src/tui/operation.ts';
import { initialState, type State } from '../../src/tui/state.ts';
import { Store } from '../../src/tui/store.ts';
import { TornKeys } from '../../src/tui/torn-keys.ts';
import { lastUpTo, windowAround } from '../../src/tui/window.ts';
import { temporaryRoot } from '../e2e/stage/face.ts';
import { openStage } from '../e2e/stage/stage.ts';
import { keys as table } from '../support/screens.ts';

const noKey: Key = {
  upArrow: false,
  downArrow: false,
  leftArrow: false,
  rightArrow: false,
  pageDown: false,
  pageUp: false,
  home: false,
  end: false,
  return: false,
  escape: false,
  ctrl: false,
  shift: false,
  tab: false,
  backspace: false,
  delete: false,
  meta: false,
  super: false,
  hyper: false,
  capsLock: false,
  numLock: false,
};

describe('keys', () => {
  it('are told apart, also when several arrive at once', () => {
    expect(keyNames('jjj', noKey)).toEqual(['j', 'j', 'j']);
    expect(keyNames(' ', noKey)).toEqual(['Space']);
    expect(keyNames('\u0015a\t\r\u007f', noKey)).toEqual(['Ctrl-U', 'a', 'Tab', 'Enter', 'Backspace']);
    expect(keyNames('', { ...noKey, upArrow: true })).toEqual(['↑']);
    expect(keyNames('', { ...noKey, tab: true, shift: true })).toEqual(['Shift-Tab']);
    expect(keyNames('c', { ...noKey, ctrl: true })).toEqual(['Ctrl-C']);
    expect(keyNames('x', { ...noKey, meta: true })).toEqual([]);
    // What is left of an arrow key that a slow line has torn apart does nothing.
    expect(keyNames('[A', noKey).map((name) => table.actionFor(name, 'logs'))).toEqual([undefined, undefined]);
    // So do sequences that nobody knows; a mouse says where it was.
    expect(keyNames('[1;5A', noKey)).toEqual([]);
    expect(mouseKeys('[<64;3;4M')).toEqual(['Wheel-Up']);
    expect(mouseKeys('[<0;3;4M')).toEqual(['Click-3-4']);
    expect(mouseKeys('[<0;3;4m')).toEqual([]);
  });

  it('are put together again when a slow line has torn them apart', async () => {
    const pressed: string[] = [];
    const keys = new TornKeys((names) => pressed.push(...names));
    keys.take('', ['Esc']);
    keys.take('[A', ['[', 'A']);
    expect(pressed).toEqual(['↑']);
    keys.take('', ['Esc']);
    keys.take('q', ['q']);
    expect(pressed).toEqual(['↑', 'Esc', 'q']);
    keys.take('[A', ['[', 'A']);
    expect(pressed.slice(3)).toEqual(['[', 'A']);
    keys.take('', ['Esc']);
    await expect.poll(() => pressed.slice(5)).toEqual(['Esc']);
  });

  it('are put together again by screens that were busy while the rest of a key came', async () => {
    const pressed: string[] = [];
    const keys = new TornKeys((names) => pressed.push(...names));
    const line = new MessageChannel();
    const heard = new Promise<void>((resolve) => {
      line.port2.once('message', (input: string) => {
        keys.take(input, [...input]);
        resolve();
      });
    });
    // From here the timers come before whatever is read.
    await nextTurn();
    keys.take('', ['Esc']);
    line.port1.postMessage('[A');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
    await heard;
    expect(pressed).toEqual(['↑']);
    line.port1.close();
  });
});

describe('windows', () => {
  it('always show the focus and never more than there is', () => {
    for (let size = 0; size <= 30; size += 1) {
      for (let room = 1; room <= 12; room += 1) {
        for (let focus = 0; focus < size; focus += 1) {
          const { first, above, below } = windowAround(size, room, focus);
          const shown = Math.min(size, room);
          expect(above + shown + below).toBe(size);
          expect(first).toBe(above);
          expect(focus >= first && focus < first + shown).toBe(true);
        }
      }
    }
  });

  it('find numbers that are no longer there', () => {
    const entries = [3, 5, 9].map((seq) => ({ seq }));
    expect([0, 3, 4, 5, 8, 9, 100].map((seq) => lastUpTo(entries, seq))).toEqual([-1, 0, 0, 1, 1, 2, 2]);
  });
});

describe('a running operation', () => {
  const time = '2030-01-01T00:00:00.000Z';
  const about = { time, operation: 'deploy-1' };
  const step = (index: number, state: Extract<ApplianceEvent, { event: 'step' }>['state']): ApplianceEvent => ({
    event: 'step',
    ...about,
    index,
    name: `s${index}`,
    title: `step ${index}`,
    state,
    seconds: 1,
    detail: '',
  });
  const begun: ApplianceEvent[] = [
    {
      event: 'operation-started',
      ...about,
      kind: 'deploy',
      target: 'v1',
      actor: { uid: 0, user: 'anna', ssh: null },
      steps: [],
    },
    { event: 'planned', ...about, steps: [0, 1, 2, 3].map((index) => ({ name: `s${index}`, title: `step ${index}` })) },
  ];
  const played = (...events: ApplianceEvent[]) => [...begun, ...events].reduce(follow, undefined);

  it('is told by its events', () => {
    expect(played()).toMatchObject({ title: 'deploy v1', user: 'anna', progress: 0 });
    expect(played(step(0, 'done'), step(1, 'running'))).toMatchObject({
      progress: 0.25,
      step: 'step 1',
      goingBack: false,
    });
    expect(played(step(0, 'done'), step(1, 'failed'), step(0, 'undoing'))).toMatchObject({ goingBack: true });
    const result = { operation: 'deploy-1' } as never;
    expect(played({ event: 'operation-ended', ...about, kind: 'deploy', result })).toBeUndefined();
  });

  it('is not confused by another one, and can be joined in the middle', () => {
    const other: ApplianceEvent = { event: 'progress', time, operation: 'deploy-0', index: 0, text: 'old news' };
    expect(played(other)).toEqual(played());
    const actor = { uid: 0, user: 'anna', ssh: null };
    const running = { id: 'deploy-9', kind: 'deploy', step: 'shift', progress: 75, actor, startedAt: time };
    expect(fromStatus(running, undefined)).toMatchObject({ id: 'deploy-9', progress: 0.75, step: 'shift' });
    expect(fromStatus(null, played())).toBeUndefined();
  });
});

describe('the feed', () => {
  let place: ReturnType<typeof temporaryRoot>;
  let closing: (() => void)[] = [];
  beforeEach(() => {
    place = temporaryRoot();
  });
  afterEach(() => {
    for (const close of closing) close();
    closing = [];
    place.remove();
  });

  const connect = async () => {
    const client = await connectSocket(pathsFor(place.root));
    if (client) return client;
    throw new ApplianceError('agent_unreachable', 'no agent is running');
  };
  const open = () => {
    const store = new Store<State>(initialState(Date.now()));
    const feed = new Feed(store, connect, systemClock);
    const running = feed.run();
    closing.push(() => feed.close());
    const until = (condition: (state: State) => boolean) =>
      new Promise<void>((resolve) => {
        const check = () => {
          if (condition(store.get())) resolve();
        };
        store.subscribe(check);
        check();
      });
    return { store, until, running, feed };
  };

  it('finds an agent that starts later, loses it and finds it again', async () => {
    const { store, until } = open();
    await until(({ link }) => link.kind === 'absent');
    const stop = await openStage({ root: place.root, stepTime: 10, logPause: 10 });
    await until(({ link, status }) => link.kind === 'up' && status?.release?.tag === 'v1.0');
    await stop();
    await until(({ link }) => link.kind === 'lost');
    expect(store.get().status).toBeDefined();
    const again = await openStage({ root: place.root, stepTime: 10, logPause: 10 });
    await until(({ link }) => link.kind === 'up');
    await again();
  });

  it('sees an operation that somebody else runs, and how it ends', async () => {
    const stop = await openStage({ root: place.root, stepTime: 50, logPause: 10 });
    const { store, until } = open();
    await until(({ link }) => link.kind === 'up');
    const deploying = (async () => {
      for await (const _ of (await connect()).stream('deploy', { tag: 'v1.1' }));
    })();
    await until(({ operation }) => operation?.title === 'deploy v1.1' && operation.progress > 0);
    await until(({ operation, history }) => operation === undefined && history[0]?.to === 'v1.1');
    await until(({ status }) => status?.release?.tag === 'v1.1');
    expect(store.get().history[0]?.result).toBe('done');
    await deploying;
    await stop();
  });

  it('joins an operation that had begun before it listened, with all its steps', async () => {
    const stop = await openStage({ root: place.root, stepTime: 500, logPause: 10 });
    const client = await connect();
    const deploying = (async () => {
      for await (const _ of client.stream('deploy', { tag: 'v1.2' }));
    })();
    await expect.poll(async () => (await client.ask('status', {})).operation?.id).toBeDefined();
    const { store, until } = open();
    await until(({ operation }) => operation?.title === 'deploy v1.2' && operation.steps.length === 4);
    await until(({ history }) => history[0]?.to === 'v1.2');
    await deploying;
    expect(store.get().history).toHaveLength(1);
    await stop();
  });

  it('reads logs once they are looked at, harmless and of the wanted service', async () => {
    const stop = await openStage({ root: place.root, stepTime: 10, logPause: 5 });
    const { store, until } = open();
    await until(({ link }) => link.kind === 'up');
    expect(store.get().logs).toEqual([]);
    store.set({ view: { ...store.get().view, screen: 'logs' } });
    await until(({ logs }) => logs.length > 20);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: looks for control characters
    expect(store.get().logs.filter(({ text }) => /[\u0000-\u001f]/.test(text))).toEqual([]);
    const { view } = store.get();
    store.set({ view: { ...view, logs: { ...view.logs, service: 'redis' } } });
    await until(({ logs }) => logs.length > 2 && logs.every(({ service }) => service === 'redis'));
    await stop();
  });

  it('asks for a document only while its screen is open, and shows what changed', async () => {
    const stop = await openStage({ root: place.root, stepTime: 20, logPause: 10, recorded: true });
    const { store, until, feed } = open();
    await until(({ link }) => link.kind === 'up');
    expect(store.get().documents).toEqual({});
    store.set({ view: { ...store.get().view, screen: 'releases' } });
    await until(({ documents }) => documents.releases?.data?.[1]?.pinned === true);
    expect(Object.keys(store.get().documents)).toEqual(['releases']);
    await feed.client?.ask('pin', { tag: 'v0.9', pinned: false });
    feed.refresh();
    await until(({ documents }) => documents.releases?.data?.[1]?.pinned === false);
    await stop();
  });

  it('has an answer that takes long keep no other screen waiting, and asks for it once', async () => {
    let asked = 0;
    let answer: (snapshots: []) => void = () => undefined;
    const client = {
      ask: async (name: string) => {
        if (name !== 'backups') return [];
        asked += 1;
        return new Promise((resolve) => {
          answer = resolve;
        });
      },
    } as unknown as Client;
    const store = new Store<State>({ ...initialState(Date.now()) });
    const show = (screen: State['view']['screen']) => store.set({ view: { ...store.get().view, screen } });
    const feed = new DocumentFeed(store, systemClock);
    const closing = new AbortController();
    show('backups');
    const running = feed.run(client, closing.signal);
    await expect.poll(() => asked).toBe(1);
    show('certificates');
    await expect.poll(() => store.get().documents.certificates?.data).toEqual([]);
    show('backups');
    feed.refresh();
    await systemClock.sleep(1_200);
    expect(asked).toBe(1);
    answer([]);
    await expect.poll(() => store.get().documents.backups?.data).toEqual({ snapshots: [], jobs: [] });
    closing.abort();
    await running;
  });

  it('believes what it has heard, not the answer to a question that is older', async () => {
    const status = { services: [], requests: null, release: null, operation: null };
    const late = { ...status };
    const [asked, heard] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const answers = [
      async () => status,
      async () => {
        asked.resolve();
        await heard.promise;
        return late;
      },
    ];
    const client = {
      access: 'operator',
      ask: async (name: string) => {
        if (name !== 'status') return [];
        return answers.shift()?.() ?? new Promise(() => undefined);
      },
      async *stream(_: string, __: unknown, signal: AbortSignal) {
        await asked.promise;
        const actor = { uid: 0, user: 'anna', ssh: null };
        const about = { time: '2030-01-01T00:00:00.000Z', kind: 'deploy', target: 'v1.1', actor, steps: [] };
        yield { event: 'operation-started', operation: 'deploy-1', ...about };
        heard.resolve();
        await systemClock.sleep(60_000, signal).catch(() => undefined);
      },
      close: async () => undefined,
    } as unknown as Client;
    const store = new Store<State>(initialState(Date.now()));
    const feed = new Feed(store, async () => client, systemClock);
    closing.push(() => feed.close());
    void feed.run();
    await expect.poll(() => store.get().status).toBe(late);
    expect(store.get().operation?.title).toBe('deploy v1.1');
  });

  it('ends when it is closed', async () => {
    const { feed, running, until } = open();
    await until(({ link }) => link.kind === 'absent');
    feed.close();
    await running;
  });
});
