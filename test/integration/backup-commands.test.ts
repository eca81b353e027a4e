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
  await execa('docker', ['rm', '--force', '--volumes', container], { reject: false });
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
