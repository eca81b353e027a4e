import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { type Generation, Generations } from '../../src/agent/generations.ts';
import type { Operations } from '../../src/agent/operations.ts';
import { Turns } from '../../src/agent/turns.ts';
import { type Database, openDatabase } from '../../src/host/sqlite.ts';
import { systemClock as clock } from '../../src/lib/clock.ts';
import { ApplianceError } from '../../src/lib/errors.ts';
import { auditMigrations } from '../../src/operations/audit.ts';
import { Journal, journalMigrations } from '../../src/operations/journal.ts';
import { defineStep } from '../../src/operations/step.ts';
import { operationsOf } from '../support/operations.ts';

const person = { uid: 1000, user: 'ada', ssh: null };
const never = new AbortController().signal;
const now = { wait: 0, signal: never };

let directory: string;
let database: Database;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'generations-'));
  database = openDatabase(join(directory, 'state.db'), [journalMigrations, auditMigrations]);
  path = join(directory, 'appliance.yaml');
  writeFileSync(path, 'first');
});
afterEach(() => {
  database.close();
  rmSync(directory, { recursive: true, force: true });
});

interface Made {
  readonly operations: Operations;
  readonly generation: Generation;
  stopped: boolean;
}

/** The generations of one process, each with operations of its own over the same journal. */
async function agent(reading: () => Promise<void> = async () => undefined) {
  const turns = new Turns(clock);
  const journal = new Journal(database);
  const made: Made[] = [];
  const applied: string[] = [];
  const step = defineStep({
    action: 'note',
    args: z.object({ what: z.string() }),
    apply: async ({ what }) => `${applied.push(what)} noted`,
  });
  const open = async (): Promise<Generation> => {
    if (made.length > 0) await reading();
    const { operations } = operationsOf(database, { clock, step, turns, urgent: ['rollback'] });
    const generation = {
      appliance: { operations },
      handlers: {},
      stop: async () => {
        one.stopped = true;
      },
    } as unknown as Generation;
    const one: Made = { operations, generation, stopped: false };
    made.push(one);
    return generation;
  };
  const generations = await Generations.start({ path, open, turns, clock });
  /** Which of them is asked, from 0. */
  const asked = () => made.findIndex(({ generation }) => generation === generations.current);
  /** Begins an operation whose plan is ready when the gate opens. */
  const begin = (nth: number, kind: string, gate: Promise<void> = Promise.resolve(), wait = 0) => {
    const prepare = async () => {
      await gate;
      const plan = step.plan({ what: kind }, { title: 'note it down', cause: 'test' });
      return { kind, target: null, origin: null, phases: [async () => [plan]] };
    };
    const ended = async (): Promise<string> => {
      let result = '';
      for await (const event of (made[nth] as Made).operations.start(
        { kind, input: {}, actor: person, wait },
        prepare,
        never,
      ))
        if (event.event === 'operation-ended') result = event.result.result;
      return result;
    };
    return ended();
  };
  return { generations, made, asked, begin, applied, journal };
}

describe('another appliance.yaml', () => {
  it('is taken over by the next request, and the generation before it stops', async () => {
    const { generations, made, asked } = await agent();
    await generations.handlersFor('status', now);
    expect([made.length, asked()]).toEqual([1, 0]);
    writeFileSync(path, 'second');
    await Promise.all([generations.handlersFor('status', now), generations.handlersFor('ps', now)]);
    expect([made.length, asked()]).toEqual([2, 1]);
    expect(made.map(({ stopped }) => stopped)).toEqual([true, false]);
  });

  it('waits for an operation that is still at its plan: beside it, nothing of the next generation runs', async () => {
    const { generations, asked, begin, journal, applied } = await agent();
    const plan = Promise.withResolvers<void>();
    const deploy = begin(0, 'deploy', plan.promise);
    writeFileSync(path, 'second');
    await generations.handlersFor('status', now);
    expect(asked()).toBe(0);
    await expect(begin(asked(), 'restart')).rejects.toMatchObject({ code: 'busy' });
    plan.resolve();
    expect(await deploy).toBe('done');
    await generations.handlersFor('status', now);
    expect(asked()).toBe(1);
    expect(applied).toEqual(['deploy']);
    expect(journal.open()).toEqual([]);
  });

  it('waits for one that began while the file was being read', async () => {
    const [begun, reading] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const { generations, made, asked, begin } = await agent(() => {
      begun.resolve();
      return reading.promise;
    });
    writeFileSync(path, 'second');
    const status = generations.handlersFor('status', now);
    await begun.promise;
    const plan = Promise.withResolvers<void>();
    const deploy = begin(0, 'deploy', plan.promise);
    reading.resolve();
    await status;
    expect(asked()).toBe(0);
    expect(made.map(({ stopped }) => stopped)).toEqual([false, true]);
    plan.resolve();
    expect(await deploy).toBe('done');
    await generations.handlersFor('status', now);
    expect([asked(), made.length]).toEqual([2, 3]);
  });

  it('has one turn with the generation before it: a request that was on its way runs alone', async () => {
    const { generations, made, begin } = await agent();
    writeFileSync(path, 'second');
    await generations.handlersFor('status', now);
    const plan = Promise.withResolvers<void>();
    const late = begin(0, 'deploy', plan.promise);
    await expect(begin(1, 'restart')).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining('deploy is running: begun by ada'),
    });
    const patient = begin(1, 'restart', undefined, 10_000);
    plan.resolve();
    expect([await late, await patient]).toEqual(['done', 'done']);
    expect(made).toHaveLength(2);
  });

  it('is what a deploy waits for that stands in line: it never runs with the file as it was', async () => {
    const { generations, asked, begin } = await agent();
    const plan = Promise.withResolvers<void>();
    const backup = begin(0, 'backup', plan.promise);
    writeFileSync(path, 'second');
    await expect(generations.handlersFor('deploy', now)).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringMatching(
        /appliance\.yaml has changed, and is read when this has ended: backup is running: begun by ada/,
      ),
    });
    // Who wants to go back is not kept waiting by a file.
    await generations.handlersFor('rollback', now);
    expect(asked()).toBe(0);
    const patient = generations.handlersFor('deploy', { wait: 10_000, signal: never });
    plan.resolve();
    expect(await backup).toBe('done');
    await patient;
    expect(asked()).toBe(1);
  });

  it('with a mistake is not used, and is tried again after anything that was not its fault', async () => {
    let failure: ApplianceError | undefined = new ApplianceError('config_invalid', 'line 1 is wrong');
    const { generations, made, asked } = await agent(async () => {
      if (failure) throw failure;
    });
    writeFileSync(path, 'second');
    await generations.handlersFor('status', now);
    await expect(generations.handlersFor('deploy', now)).rejects.toMatchObject({ code: 'config_invalid' });
    failure = new ApplianceError('disk_full', 'no space');
    await expect(generations.handlersFor('deploy', now)).rejects.toMatchObject({ code: 'config_invalid' });
    writeFileSync(path, 'third');
    await expect(generations.handlersFor('deploy', now)).rejects.toMatchObject({ code: 'disk_full' });
    failure = undefined;
    await generations.handlersFor('deploy', now);
    expect([generations.problem, asked(), made.length]).toEqual([undefined, 1, 2]);
  });

  it('that is put back after such a failure leaves nothing of it behind', async () => {
    let failure: ApplianceError | undefined = new ApplianceError('disk_full', 'no space');
    const { generations } = await agent(async () => {
      if (failure) throw failure;
    });
    writeFileSync(path, 'second');
    await expect(generations.handlersFor('deploy', now)).rejects.toMatchObject({ code: 'disk_full' });
    failure = undefined;
    writeFileSync(path, 'first');
    await generations.handlersFor('deploy', now);
    expect(generations.problem).toBeUndefined();
  });
});
