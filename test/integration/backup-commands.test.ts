import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { PassThrough } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { drillLabel } from '../../src/capabilities/backups/drill.ts';
import { BackupLab } from '../support/backup-lab.ts';

// A database that is not PostgreSQL: a real Redis, dumped and restored by the commands that appliance.yaml declares.
const name = 'backupredis';
const container = `${name}-cache`;
const timeout = 600_000;
const commands = {
  dump: ['sh', '-c', 'redis-cli save >/dev/null && cat /data/dump.rdb'],
  restore: ['sh', '-c', 'cat >/data/dump.rdb && redis-cli debug reload nosave | grep -qx OK'],
  count: ['sh', '-c', 'n=$(redis-cli dbsize) && printf "keys\\t%s\\n" "$n"'],
};
let lab: BackupLab;

beforeAll(async () => {
  lab = await BackupLab.make({ name, postgres: false, backups: { databases: { cache: commands } } });
  const labels = [`appliance.name=${name}`, 'appliance.role=core', 'appliance.service=cache'];
  await execa('docker', [
    ...['run', '--detach', '--network', 'none', '--name', container],
    // The twin of a drill needs them too.
    ...['-e', 'REDIS_PASSWORD=planted-secret', '-e', 'REDISCLI_AUTH=planted-secret'],
    ...labels.flatMap((label) => ['--label', label]),
    ...['appliance/redis:8', 'redis-server', '--enable-debug-command', 'local'],
  ]);
  for (let tries = 0; tries < 300 && (await redis('ping').catch(() => '')) !== 'PONG'; tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 200));
  for (const key of ['one', 'two', 'three']) await redis('set', key, `the value of ${key}`);
}, timeout);
afterAll(async () => {
  await lab?.destroy();
}, timeout);

async function redis(...argv: string[]): Promise<string> {
  return (await execa('docker', ['exec', container, 'redis-cli', ...argv])).stdout.trim();
}

async function leftovers(): Promise<string> {
  return (await execa('docker', ['ps', '-aq', '--filter', `label=${drillLabel}=${name}`])).stdout;
}

describe('a database with commands of its own', { timeout }, () => {
  it('S4-1 S4-53: is dumped, counted, and proven by its restore command in a server of its own', async () => {
    const { result, id } = await lab.backup();
    expect(result.error ?? result.result).toBe('done');
    const { backups, drills } = await lab.appliance();
    const manifest = await backups.manifest(id, AbortSignal.timeout(timeout));
    expect(manifest.components.find((one) => one.name === 'database:cache')).toMatchObject({
      path: 'databases/cache/dump',
      rows: { keys: 3 },
    });
    await redis('set', 'four', 'after the backup');
    const drilled = await lab.run('backup-drill', drills.plan(id, 'usual'));
    expect(drilled.error ?? drilled.result).toBe('done');
    const report = drills.reports.last();
    expect(report?.findings.find((one) => one.id === 'drill-database:cache')).toMatchObject({
      verdict: 'pass',
      observed: '1 table, 3 rows as recorded',
    });
    expect(report?.untested.join()).not.toContain('cache');
    expect(await leftovers()).toBe('');
    // The server that is in use was not touched.
    expect(await redis('dbsize')).toBe('4');
  });

  it('is found out when its restore command does not bring it back', async () => {
    for (const [restore, said] of [
      [['sh', '-c', 'cat >/dev/null'], 'keys: 0 rows (expected 4 rows)'],
      [['sh', '-c', 'echo no such format >&2; exit 7'], 'exit status 7: no such format'],
    ] as const) {
      lab.close();
      await lab.configure({ databases: { cache: { ...commands, restore } } });
      const { id } = await lab.backup();
      const { drills } = await lab.appliance();
      const drilled = await lab.run('backup-drill', drills.plan(id, 'usual'));
      expect(drilled.error).toMatchObject({ code: 'verdict_fail', message: expect.stringContaining(said) });
      expect(await leftovers()).toBe('');
    }
  });

  it('is named as not tested where its server cannot run alone', async () => {
    lab.close();
    // As of an image that needs files of the host: no count, and no dump of an empty database.
    const dump = ['sh', '-c', 'test "$(redis-cli dbsize)" != 0 && redis-cli save >/dev/null && cat /data/dump.rdb'];
    await lab.configure({ databases: { cache: { dump, restore: commands.restore } } });
    const { id, result } = await lab.backup();
    expect(result.error ?? result.result).toBe('done');
    const { drills, engine } = await lab.appliance();
    const twin = engine.startTwin.bind(engine);
    // It ends at once, as a server does that misses its configuration.
    engine.startTwin = async (other, limits) => {
      const started = await twin(other, limits);
      if (started) await execa('docker', ['stop', '--time', '0', started]);
      return started;
    };
    const drilled = await lab.run('backup-drill', drills.plan(id, 'usual'));
    engine.startTwin = twin;
    expect(drilled.error ?? drilled.result).toBe('done');
    expect(drills.reports.last()?.untested).toContain(
      'cache: its server does not run without network, volumes and files of the host',
    );
    expect(await leftovers()).toBe('');
  });
});

describe('a restore of it (S1-63, S1-64)', { timeout }, () => {
  const keys = async (): Promise<string> => (await redis('keys', '*')).split('\n').sort().join(' ');
  const reopen = async (own: Partial<typeof commands> = {}): Promise<void> => {
    lab.close();
    await lab.configure({ databases: { cache: { ...commands, ...own } } });
  };
  let snapshot: string;

  it('puts what the snapshot has in the place of what is there, and leaves nothing behind', async () => {
    await reopen();
    await redis('flushall');
    for (const key of ['one', 'two', 'three']) await redis('set', key, `the value of ${key}`);
    snapshot = (await lab.backup()).id;
    await redis('set', 'one', 'spoilt');
    await redis('set', 'after', 'the backup');
    const restored = await lab.restore(snapshot);
    expect(restored.error ?? restored.result).toBe('done');
    expect(restored.steps.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['rehearse-database', 'keep-database', 'replace-database']),
    );
    expect(await keys()).toBe('one three two');
    expect(await redis('get', 'one')).toBe('the value of one');
    expect(await leftovers()).toBe('');
    expect(await readdir(join(lab.paths.lib, 'backups/restore'))).toEqual([]);
  });

  it('brings back what was there when the command fails in the middle', async () => {
    // Once, after it has loaded; in the server of its own it has nothing that it could refuse.
    const once = `${commands.restore[2]} && ! rm /data/refuse 2>/dev/null`;
    await reopen({ restore: ['sh', '-c', once] });
    await redis('set', 'today', 'is worth keeping');
    await execa('docker', ['exec', container, 'touch', '/data/refuse']);
    const restored = await lab.restore(snapshot);
    expect(restored).toMatchObject({
      result: 'rolled_back',
      error: { code: 'restore_failed', message: expect.stringContaining('exit status 1') },
    });
    expect(await keys()).toBe('one three today two');
    expect(await redis('get', 'today')).toBe('is worth keeping');
  });

  it('brings back what was there when fewer rows came than were recorded', async () => {
    const less = `${commands.restore[2]} && { rm /data/refuse 2>/dev/null && redis-cli del one; true; }`;
    await reopen({ restore: ['sh', '-c', less] });
    await execa('docker', ['exec', container, 'touch', '/data/refuse']);
    const restored = await lab.restore(snapshot);
    expect(restored).toMatchObject({ result: 'rolled_back' });
    expect(restored.error?.message).toContain('keys: 2 rows (expected 3 rows)');
    expect(await keys()).toBe('one three today two');
  });

  it('touches nothing where the dump does not load in a server of its own, or today cannot be kept', async () => {
    const wrong: [Partial<typeof commands>, string][] = [
      [{ restore: ['sh', '-c', 'cat >/dev/null; echo no such format >&2; exit 7'] }, 'no such format'],
      [{ dump: ['sh', '-c', 'echo no room >&2; exit 3'] }, 'no room'],
    ];
    for (const [own, said] of wrong) {
      await reopen(own);
      const restored = await lab.restore(snapshot);
      expect(restored.error?.message).toContain(said);
      expect(restored.result).not.toBe('done');
      expect(await keys()).toBe('one three today two');
      expect(await leftovers()).toBe('');
    }
  });

  it('waits for a command that somebody else has started, so that two never load at once', async () => {
    await reopen();
    const { engine } = await lab.appliance();
    const other = execa('docker', ['exec', '--interactive', container, ...commands.restore], {
      input: new PassThrough(),
      reject: false,
    });
    await expect.poll(() => engine.runsInside(container, commands.restore), { timeout: 30_000 }).toBe(true);
    expect(await engine.runsInside(container, [...commands.restore, 'more'])).toBe(false);
    const restoring = lab.restore(snapshot);
    const begun = async (): Promise<boolean> =>
      (await readdir(join(lab.paths.lib, 'backups/restore'), { recursive: true })).some((path) =>
        path.endsWith('cache.begun'),
      );
    await expect.poll(begun, { timeout: 120_000, interval: 100 }).toBe(true);
    await delay(1_500);
    expect(await keys()).toBe('one three today two');
    const ends = 'kill -9 $(grep -lx cat /proc/[0-9]*/comm | tr -dc "0-9\\n")';
    await execa('docker', ['exec', container, 'bash', '-c', ends]);
    other.kill();
    const restored = await restoring;
    expect(restored.error ?? restored.result).toBe('done');
    expect(await keys()).toBe('one three two');
  });

  /** A module that kills its process some milliseconds after that has told that a step has begun: by itself, it cannot be late. */
  const mortal = (step: string, after: number): string => {
    const code = `
      const write = process.stdout.write.bind(process.stdout);
      const begins = (line) => line.includes('"name":"${step}"') && line.includes('"state":"running"');
      const die = () => process.kill(process.pid, 'SIGKILL');
      process.stdout.write = (text, ...rest) => {
        if (String(text).split('\\n').some(begins)) ${after === 0 ? 'die()' : `setTimeout(die, ${after})`};
        return write(text, ...rest);
      };`;
    return `data:text/javascript,${encodeURIComponent(code)}`;
  };

  it.each([
    ['rehearse-database', 400, false],
    ['keep-database', 20, false],
    ['replace-database', 400, true],
    ['finish-restore', 0, true],
  ])('killed in %s, the next process takes it back or finishes it', async (step, after, finished) => {
    // Slow enough to die in.
    await reopen({ restore: ['sh', '-c', `sleep 1; ${commands.restore[2]}`] });
    await redis('set', 'today', 'is worth keeping');
    lab.close();
    const words = ['--root', lab.root, 'backup'];
    const options = { reject: false, env: { NODE_NO_WARNINGS: '1' } } as const;
    const entry = resolve(import.meta.dirname, '../../src/main.ts');
    const what = ['restore', snapshot, '--component', 'database', '--skip-safety', '--yes', '--json'];
    const killed = await execa('node', ['--import', mortal(step, after), entry, ...words, ...what], options);
    expect(killed.signal, killed.stderr).toBe('SIGKILL');
    // What was open is brought to its end first.
    const again = await execa('node', [entry, ...words, 'now', '--json'], options);
    expect(again.stdout.split('\n').at(-1)).toContain('"result":"done"');
    expect(await keys()).toBe(finished ? 'one three two' : 'one three today two');
    expect(await readdir(join(lab.paths.lib, 'backups/restore'))).toEqual([]);
    expect(await leftovers()).toBe('');
  });

  it('is refused before it begins where the service does not run', async () => {
    await execa('docker', ['stop', '--time', '1', container]);
    await expect(lab.restore(snapshot)).rejects.toMatchObject({
      code: 'database_unreachable',
      message: expect.stringContaining('does not run'),
      hint: expect.stringContaining('appliance up'),
    });
  });
});
