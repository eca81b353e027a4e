import { expect, it } from 'vitest';
import { logLines } from '../../src/agent/logs.ts';
import type { ContainerDetail, Engine } from '../../src/host/docker.ts';
import { systemClock } from '../../src/lib/clock.ts';

const perService = 9_000;

function container(name: string): ContainerDetail {
  return {
    id: name,
    labels: { 'com.docker.compose.service': name, 'appliance.service': name },
    running: true,
    startedAt: '2026-01-01T00:00:00Z',
    finishedAt: '0001-01-01T00:00:00Z',
  } as Partial<ContainerDetail> as ContainerDetail;
}

it('goes on with every service after a slow reader has held all of them up', async () => {
  const containers = ['a', 'b', 'c'].map(container);
  const engine = {
    async *logs({ id }: { id: string }) {
      for (let index = 0; index < perService; index += 1) {
        // Other sources get their turn, as they would while each waits for its own connection.
        if (index % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
        yield { stream: 'stdout' as const, text: `2026-01-01T00:00:00Z ${id} ${index}\n` };
      }
    },
  } as Partial<Engine> as Engine;
  const details = () => containers;
  const stop = new AbortController();
  const giveUp = setTimeout(() => stop.abort(), 10_000);
  const seen: Record<string, number> = {};
  let all = 0;
  for await (const { service } of logLines(
    { services: [], follow: true },
    { engine, details, clock: systemClock },
    stop.signal,
  )) {
    seen[service] = (seen[service] ?? 0) + 1;
    all += 1;
    if (all % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    if (all === containers.length * perService) stop.abort();
  }
  clearTimeout(giveUp);
  expect(seen).toEqual({ a: perService, b: perService, c: perService });
});

it('without follow, lines come in the order of their time, and no log is read ahead', async () => {
  const ahead = { a: 0, b: 0 };
  const engine = {
    async *logs({ id }: { id: 'a' | 'b' }) {
      for (let index = 0; index < 100; index += 1) {
        ahead[id] += 1;
        const second = String(id === 'a' ? index : index * 2).padStart(3, '0');
        yield { stream: 'stdout' as const, text: `2026-01-01T00:00:00.${second}Z ${id} ${index}\n` };
      }
    },
  } as Partial<Engine> as Engine;
  const containers = ['a', 'b'].map(container);
  const details = () => containers;
  const times: (string | null)[] = [];
  const deps = { engine, details, clock: systemClock };
  for await (const { time } of logLines({ services: [], follow: false }, deps, new AbortController().signal)) {
    times.push(time);
    expect(ahead.a + ahead.b).toBeLessThanOrEqual(times.length + 2);
  }
  expect(times).toHaveLength(200);
  expect(times).toEqual([...times].sort());
});

it('goes on after a stream that broke, as when the engine starts anew and containers live on: each line once', async () => {
  const line = (second: number) => ({
    stream: 'stdout' as const,
    text: `2026-01-01T00:00:0${second}.000000000Z line ${second}\n`,
  });
  const asked: (number | undefined)[] = [];
  const engine = {
    async *logs(_: unknown, { since }: { since?: number }) {
      asked.push(since);
      // Nobody answers at the second try; whoever asks for what came since gets the line of that moment again.
      if (asked.length === 2) throw new Error('connect ECONNREFUSED');
      for (const second of asked.length === 1 ? [1, 2] : [2, 3, 4]) yield line(second);
      if (asked.length > 2) await new Promise(() => undefined);
    },
  } as Partial<Engine> as Engine;
  const clock = { ...systemClock, sleep: () => systemClock.sleep(20) };
  const signal = AbortSignal.timeout(10_000);
  const seen: string[] = [];
  for await (const { text } of logLines(
    { services: [], follow: true },
    { engine, details: () => [container('a')], clock },
    signal,
  )) {
    seen.push(text);
    if (text === 'line 4') break;
  }
  expect(seen).toEqual(['line 1', 'line 2', 'line 3', 'line 4']);
  expect(asked).toEqual([undefined, Date.UTC(2026, 0, 1, 0, 0, 2) / 1_000, Date.UTC(2026, 0, 1, 0, 0, 2) / 1_000]);
});
