import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Check, fail, pass } from '../../src/capabilities/checks/check.ts';
import { runChecks } from '../../src/capabilities/checks/run-checks.ts';
import { checkMigrations, VerdictStore } from '../../src/capabilities/checks/verdict-store.ts';
import { type Database, openDatabase } from '../../src/host/sqlite.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { ApplianceError } from '../../src/lib/errors.ts';

const signal = new AbortController().signal;
const check = (id: string, look: Check['look'], more: Partial<Check> = {}): Check => ({
  id,
  group: 'preflight',
  requirement: ['S0-4'],
  about: id,
  expected: 'good',
  hint: 'mend it',
  look,
  ...more,
});
const run = (checks: Check[], more = {}) => runChecks(checks, { clock: systemClock, signal, ...more });

describe('checks side by side', () => {
  it('keep their order, and tell of each as it ends', async () => {
    const ended: string[] = [];
    let letGo = (): void => undefined;
    const slow = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    const results = await run(
      [
        check('slow', async () => slow.then(() => pass('at last'))),
        check('quick', async () => {
          letGo();
          return fail('bad');
        }),
      ],
      { onResult: ({ id }: { id: string }) => ended.push(id) },
    );
    expect(results.map(({ id, verdict }) => [id, verdict])).toEqual([
      ['slow', 'pass'],
      ['quick', 'fail'],
    ]);
    expect([...ended].sort()).toEqual(['quick', 'slow']);
  });

  it('one that crashes is inconclusive and takes no other along', async () => {
    const crash = () => {
      throw new TypeError('it fell over');
    };
    const refuse = async () => {
      throw new ApplianceError('engine_unreachable', 'no engine', { hint: 'start it' });
    };
    const [crashed, refused, good] = await run([
      check('a', crash),
      check('b', refuse),
      check('c', async () => pass('fine')),
    ]);
    expect(crashed).toMatchObject({
      verdict: 'inconclusive',
      observed: 'it could not look: it fell over',
      hint: 'mend it',
    });
    expect(refused).toMatchObject({ verdict: 'inconclusive', hint: 'start it' });
    expect(good).toMatchObject({ verdict: 'pass', observed: 'fine' });
    expect(good?.hint).toBeUndefined();
  });

  it('one that hangs is inconclusive after its deadline, and is told to stop', async () => {
    let told = false;
    const hang: Check['look'] = (asked) =>
      new Promise(() => {
        asked.addEventListener('abort', () => {
          told = true;
        });
      });
    const [hung, good] = await run([check('a', hang, { deadline: 30 }), check('b', async () => pass('fine'))]);
    expect(hung).toMatchObject({ verdict: 'inconclusive', observed: 'no answer within 30 ms' });
    expect(good).toMatchObject({ verdict: 'pass' });
    expect(told).toBe(true);
  });

  it('ends with the reason of its caller', async () => {
    const stop = new AbortController();
    const running = runChecks([check('a', () => new Promise(() => undefined))], {
      clock: systemClock,
      signal: stop.signal,
    });
    stop.abort(new ApplianceError('interrupted', 'interrupted'));
    await expect(running).rejects.toMatchObject({ code: 'interrupted' });
  });

  it('never repeats escape sequences or novels of a server', async () => {
    const [one] = await run([check('a', async () => fail(`\u001b[31mred\u001b[0m\n${'x'.repeat(9_000)}`))]);
    expect(one?.observed).toHaveLength(400);
    expect(one?.observed.startsWith('red xxx')).toBe(true);
  });
});

describe('the last verdicts', () => {
  const directory = mkdtempSync(join(tmpdir(), 'verdicts-'));
  let database: Database;
  afterEach(() => {
    database.close();
    rmSync(directory, { recursive: true });
  });

  it('take the place of earlier ones', async () => {
    database = openDatabase(join(directory, 'state.db'), [checkMigrations]);
    const store = new VerdictStore(database);
    store.keep(await run([check('a', async () => fail('bad')), check('b', async () => pass('fine'))]), 1_000);
    store.keep(await run([check('a', async () => pass('mended'))]), 2_000);
    expect(store.all()).toEqual([
      { id: 'a', verdict: 'pass', observed: 'mended', at: 2_000 },
      { id: 'b', verdict: 'pass', observed: 'fine', at: 1_000 },
    ]);
  });
});
