import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { ApplianceEvent } from '../../src/api/schema.ts';
import { type Database, openDatabase } from '../../src/host/sqlite.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { againHint, mendedHint } from '../../src/operations/again.ts';
import { auditMigrations } from '../../src/operations/audit.ts';
import { journalMigrations } from '../../src/operations/journal.ts';
import { defineStep } from '../../src/operations/step.ts';
import { operationsOf } from '../support/operations.ts';

let database: Database;
beforeEach(() => {
  database = openDatabase(':memory:', [journalMigrations, auditMigrations]);
});
afterEach(() => database.close());

/** Operations of one step that goes on until it is stopped. */
function open(urgent: readonly string[] = []) {
  const reached = Promise.withResolvers<void>();
  const endless = defineStep({
    action: 'endless',
    args: z.object({}),
    apply: async (_, { signal }) => {
      reached.resolve();
      await delay(60_000, undefined, { signal });
      return '';
    },
  });
  const { journal, operations } = operationsOf(database, { clock: systemClock, step: endless, urgent });
  const events = operations.start(
    { kind: 'deploy', input: {}, actor: { uid: 0, user: 'root', ssh: null }, wait: 0 },
    () => ({
      kind: 'deploy',
      target: 'v1',
      origin: null,
      phases: [async () => [endless.plan({}, { title: 'go on for ever', cause: 'test' })]],
    }),
    new AbortController().signal,
  );
  return { journal, operations, events, reached: reached.promise };
}

async function last(events: AsyncIterable<ApplianceEvent>): Promise<ApplianceEvent | undefined> {
  let seen: ApplianceEvent | undefined;
  for await (const event of events) seen = event;
  return seen;
}

describe('an operation that runs', () => {
  it('is listed as running, not as failed', async () => {
    const { journal, operations, events, reached } = open();
    const ended = last(events);
    await reached;
    const [{ id } = { id: '' }] = journal.open();
    expect(operations.reports.view(id).result).toBe('running');
    expect(operations.reports.running()?.id).toBe(id);
    operations.interrupt();
    expect(await ended).toMatchObject({
      result: { error: { left: 'what it had done is taken back', hint: 'type it again: appliance deploy v1' } },
    });
    expect(operations.reports.view(id).result).toBe('failed');
    expect(operations.reports.running()).toBeNull();
  });

  it('that the end of the agent cuts short says what to type next', async () => {
    const { operations, events, reached } = open();
    const ended = last(events);
    await reached;
    operations.stop();
    expect(await ended).toMatchObject({
      event: 'operation-ended',
      result: {
        result: 'failed',
        error: {
          code: 'interrupted',
          message: 'go on for ever: the agent was stopped',
          hint: 'type it again: appliance deploy v1',
        },
      },
    });
  });
});

it.each([
  ['deploy', 'v1', 'deploy v1'],
  ['up', 'v1', 'up'],
  ['backup', '20261122T010205Z-2005', 'backup now'],
  ['backup-drill', '20261122T010205Z-2005', 'backup drill 20261122T010205Z-2005'],
  ['backup-prune', null, 'backup prune'],
  ['restore', '20261122T010205Z-2005', 'backup restore 20261122T010205Z-2005'],
  ['restore', '20261122T010205Z-2005 models', 'backup restore 20261122T010205Z-2005 --component models'],
  ['model-promote', 'routing@2', 'models promote routing@2'],
  ['certs-renew', null, 'certs renew'],
  ['prune', null, 'releases prune'],
])('%s of %s that was cut short names the command that does it again', (kind, target, command) => {
  expect(againHint({ kind, target })).toBe(`type it again: appliance ${command}`);
});

it.each([
  ['deploy', 'v1', 'type: appliance up'],
  ['rollback', 'v0.9', 'type: appliance up'],
  [
    'restore',
    '20261122T010205Z-2005 models',
    'type it again: appliance backup restore 20261122T010205Z-2005 --component models',
  ],
  ['certs-renew', null, 'type it again: appliance certs renew'],
])('%s of %s that could not be taken back names the command that brings it to an end', (kind, target, hint) => {
  expect(mendedHint({ kind, target })).toBe(hint);
});

describe('an operation that is still being planned', () => {
  it('is known by its kind and by who began it', async () => {
    const { operations } = open();
    const wish = { kind: 'restart', input: {}, actor: { uid: 0, user: 'root', ssh: null }, wait: 0 };
    const planning = Promise.withResolvers<never>();
    const begun = Promise.withResolvers<void>();
    const never = new AbortController().signal;
    const first = operations.start(
      wish,
      () => {
        begun.resolve();
        return planning.promise;
      },
      never,
    );
    const refused = expect(last(first)).rejects.toThrow('no such service');
    await begun.promise;
    await expect(last(operations.start(wish, () => planning.promise, never))).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringMatching(/^restart is running: begun by root .* ago, now at its plan$/),
      hint: 'wait for it: appliance restart … --wait 5m',
    });
    planning.reject(new Error('no such service'));
    await refused;
  });
});

describe('work that takes a turn without a journal', () => {
  const actor = { uid: 0, user: 'root', ssh: null };
  const verify = { kind: 'backup verify', wait: 0, actor };
  const never = new AbortController().signal;

  it('waits for an operation, or is told which one runs', async () => {
    const { operations, events, reached } = open();
    const ended = last(events);
    await reached;
    await expect(operations.alone(verify, async () => 'done', never)).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining('deploy v1 is running'),
      hint: 'wait for it: appliance backup verify … --wait 5m',
    });
    const waiting = operations.alone({ ...verify, wait: 60_000 }, async () => 'done', never);
    operations.interrupt();
    await ended;
    expect(await waiting).toBe('done');
  });

  it('keeps operations waiting, says so, and ends with its caller', async () => {
    const { operations, events } = open();
    const caller = new AbortController();
    const work = operations.alone(verify, (signal) => delay(60_000, undefined, { signal }), caller.signal);
    const over = expect(work).rejects.toThrow();
    await expect(last(events)).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringMatching(/^backup verify is running: begun by root .* ago$/),
      hint: 'wait for it: appliance deploy … --wait 5m',
    });
    caller.abort();
    await over;
    expect(await operations.alone(verify, async () => 'done', never)).toBe('done');
  });

  it('is ended by what must go back at once', async () => {
    const { operations, events, reached } = open(['deploy']);
    const work = operations.alone(verify, (signal) => delay(60_000, undefined, { signal }), never);
    const over = expect(work).rejects.toThrow();
    const ended = last(events);
    await over;
    await reached;
    operations.interrupt();
    expect(await ended).toMatchObject({ event: 'operation-ended' });
  });
});
