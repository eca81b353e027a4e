import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { ApplianceEvent } from '../../src/api/schema.ts';
import { decideRetention } from '../../src/capabilities/releases/retention.ts';
import { ReleaseStore, releaseMigrations } from '../../src/capabilities/releases/store.ts';
import { type Database, openDatabase } from '../../src/host/sqlite.ts';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { auditMigrations } from '../../src/operations/audit.ts';
import { journalMigrations } from '../../src/operations/journal.ts';
import { defineStep } from '../../src/operations/step.ts';
import { operationsOf } from '../support/operations.ts';

const day = 86_400_000;
const actor = { uid: 0, user: 'root', ssh: null };

/** A clock whose wall can be set like that of a host; what it measures goes on as before. */
function settableClock(): Clock & { set(by: number): void } {
  let offset = 0;
  return {
    ...systemClock,
    now: () => systemClock.now() + offset,
    set: (by) => {
      offset += by;
    },
  };
}

let directory: string;
let database: Database;
let clock: ReturnType<typeof settableClock>;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'clock-'));
  database = openDatabase(':memory:', [journalMigrations, auditMigrations, releaseMigrations]);
  clock = settableClock();
});
afterEach(() => {
  database.close();
  rmSync(directory, { recursive: true, force: true });
});

describe.each([
  ['back', -day],
  ['forth', day],
])('a wall clock that is set %s by a day', (_, jump) => {
  /** Operations of one step, the pivot, in whose middle the clock is set. */
  function open() {
    const reached = Promise.withResolvers<void>();
    const proceed = Promise.withResolvers<void>();
    const step = defineStep({
      action: 'note',
      args: z.object({ jump: z.number() }),
      apply: async ({ jump: by }) => {
        clock.set(by);
        reached.resolve();
        await proceed.promise;
        await delay(20);
        return 'noted';
      },
    });
    const { journal, operations } = operationsOf(database, { clock, step });
    const begin = (target: string, by: number) =>
      operations.start(
        { kind: 'deploy', input: {}, actor, wait: 0 },
        () => ({
          kind: 'deploy',
          target,
          origin: null,
          phases: [async () => [step.plan({ jump: by }, { title: 'note', cause: 'test', pivot: true })]],
        }),
        new AbortController().signal,
      );
    return { journal, operations, begin, reached: reached.promise, proceed: proceed.resolve };
  }

  async function all(events: AsyncIterable<ApplianceEvent>): Promise<ApplianceEvent[]> {
    const seen: ApplianceEvent[] = [];
    for await (const event of events) seen.push(event);
    return seen;
  }

  it('leaves every duration as it was', async () => {
    const { journal, operations, begin, reached, proceed } = open();
    const running = all(begin('v1', jump));
    await reached;
    await expect(all(begin('v2', 0))).rejects.toThrow(/begun by root \d+ ms ago|begun by root [\d.]+ s ago/);
    const [id = ''] = journal.open().map((record) => record.id);
    const followed = all(operations.follow(id, new AbortController().signal));
    await delay(10);
    proceed();
    const told = [...(await running), ...(await followed)];
    for (const event of told.filter((one) => one.event === 'step')) expect(event.seconds).toBeLessThan(10);
    for (const event of told.filter((one) => one.event === 'step')) expect(event.seconds).toBeGreaterThanOrEqual(0);
    const result = operations.reports.result(id);
    const shown = [result.seconds, result.shiftSeconds, ...result.steps.map(({ seconds }) => seconds)];
    for (const seconds of shown) {
      expect(seconds).toBeGreaterThan(0.015);
      expect(seconds).toBeLessThan(10);
    }
    expect(journal.usualDuration('note')).toBeLessThan(10_000);
    expect(journal.usualDuration('note')).toBeGreaterThan(0);
  });

  it('leaves the order of operations as it was, for people, for recovery and for what is forgotten', async () => {
    const { journal, begin, proceed } = open();
    proceed();
    for (const [target, by] of [
      ['v1', 0],
      ['v2', jump],
      ['v3', -jump],
      ['v4', jump],
    ] as const)
      await all(begin(target, by));
    expect(journal.recent(10).map(({ target }) => target)).toEqual(['v4', 'v3', 'v2', 'v1']);
    for (const id of ['one', 'two']) {
      journal.begin({ id, kind: 'deploy', target: id, origin: null, input: {}, actor }, clock.now());
      clock.set(-day);
    }
    expect(journal.open().map(({ id }) => id)).toEqual(['one', 'two']);
  });

  it('leaves the order of releases as it was', async () => {
    const store = new ReleaseStore({ database, directory, clock });
    const add = async (tag: string, content: string) =>
      store.add(tag, content, async () => ({
        content: { schema: null, services: [], environment: { keys: [], sha256: content }, files: {}, model: content },
        environment: {},
        model: () => '{}',
      }));
    const live = (id: string) => store.setLive(id, 'blue', { actor: 'root', verdict: 'pass' });
    const first = await add('v1', 'a');
    live(first.id);
    clock.set(jump);
    const second = await add('v2', 'b');
    live(second.id);
    clock.set(-jump);
    const third = await add('v3', 'c');
    live(third.id);
    expect(store.previous()?.id).toBe(second.id);
    expect(store.all().map(({ tag }) => tag)).toEqual(['v3', 'v2', 'v1']);
    clock.set(jump);
    const again = await add('v3', 'd');
    expect(store.lastResolved('v3').id).toBe(again.id);
    clock.set(-jump);
    expect(store.lastResolved('v3').id).toBe(again.id);
    live(again.id);
    expect(store.ofTag('v3')?.id).toBe(again.id);

    const candidates = store.all().map((release) => ({
      ...release,
      bytes: 1,
      state: release.id === again.id ? ('live' as const) : ('kept' as const),
    }));
    const kept = decideRetention(candidates, { releases: 2, bytes: 100 }).filter(({ keep }) => keep);
    expect(kept.map(({ id }) => id)).toEqual([again.id, third.id]);
  });
});
