import { existsSync } from 'node:fs';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OperationResult } from '../../src/api/schema.ts';
import { drillLabel } from '../../src/capabilities/backups/drill.ts';
import type { DrillReport } from '../../src/capabilities/backups/drill-report.ts';
import { BackupLab } from '../support/backup-lab.ts';

/** A drill with a real repository, a real server and real containers (S1-46, S4-1, S4-53). */
const timeout = 600_000;
let lab: BackupLab;
let id: string;

beforeAll(async () => {
  lab = await BackupLab.make({ name: 'drill-lab', backups: { drill: { memory: '512MiB' } } });
  await lab.sql(
    'CREATE TABLE orders (id int PRIMARY KEY, note text); CREATE ROLE reader LOGIN; GRANT SELECT ON orders TO reader',
  );
  await lab.sql("INSERT INTO orders SELECT n, 'note ' || n FROM generate_series(1, 5000) AS n");
  await lab.sql('CREATE SCHEMA audit; CREATE TABLE audit.entries AS SELECT n FROM generate_series(1, 123) AS n');
  await lab.addModel('2026.1', Buffer.from('a model of bytes'));
}, timeout);
afterAll(async () => {
  await lab?.destroy();
}, timeout);

async function drill(snapshot = 'latest', depth: 'usual' | 'deep' = 'usual'): Promise<OperationResult> {
  const { drills } = await lab.appliance();
  return lab.run('backup-drill', drills.plan(snapshot, depth));
}

async function report(): Promise<DrillReport> {
  const last = (await lab.appliance()).drills.reports.last();
  if (!last) throw new Error('there is no report');
  return last;
}

async function leftovers(): Promise<string[]> {
  const { stdout } = await execa('docker', ['ps', '-aq', '--filter', `label=${drillLabel}=${lab.name}`]);
  return stdout.split('\n').filter((line) => line !== '');
}

async function alerts(): Promise<string[]> {
  const { alerting } = await lab.appliance();
  return (await alerting.desk.view(AbortSignal.timeout(5_000))).alerts.map(({ name }) => name);
}

describe('a drill', { timeout }, () => {
  it('restores the night, counts every row, hashes every model, and proves the snapshot', async () => {
    const made = await lab.backup('manual');
    expect(made.result.error).toBeUndefined();
    id = made.id;
    const result = await drill();
    expect(result.error).toBeUndefined();
    const found = await report();
    expect(found).toMatchObject({ snapshot: id, verdict: 'pass', depth: 'usual' });
    expect(found.findings.find(({ id: what }) => what === 'drill-database:postgres/app')).toMatchObject({
      verdict: 'pass',
      observed: '2 tables, 5123 rows as recorded',
    });
    expect(found.findings.map(({ id: what }) => what)).toEqual(
      expect.arrayContaining(['drill-parts', 'drill-registry', 'drill-state', 'drill-models']),
    );
    expect(found.seconds).toBeGreaterThan(0);
    expect(found.ageSeconds).toBeGreaterThan(0);
    const { backups } = await lab.appliance();
    const [snapshot] = await backups.list(AbortSignal.timeout(timeout));
    expect(snapshot?.proven?.seconds).toBeCloseTo(found.seconds, 0);
    expect(await leftovers()).toEqual([]);
    expect(existsSync(join(backups.paths.root, 'drill'))).toBe(false);
    // The server that is in use was not touched.
    expect(await lab.sql('SELECT count(*) FROM orders')).toBe('5000');
    expect(await alerts()).toEqual([]);
  });

  it('in depth reads every byte of the repository', async () => {
    expect((await drill(id, 'deep')).result).toBe('done');
    expect((await report()).findings.at(-1)).toMatchObject({ id: 'drill-repository', verdict: 'pass' });
  });

  it('fails with the table when rows are missing, exits 3 and raises an alert, and the next success resolves it', async () => {
    const appliance = await lab.appliance();
    const { paths } = appliance.backups;
    // A manifest that promises more than the dump holds, as of a dump that was cut short.
    const { id: wrong, result } = await lab.backup('manual');
    expect(result.result).toBe('done');
    const find = appliance.backups.restore.bind(appliance.backups);
    appliance.backups.restore = async (request) => {
      await find(request);
      const file = join(request.target, 'snapshot/manifest.json');
      const manifest = JSON.parse(await readFile(file, 'utf8'));
      for (const one of manifest.components) if (one.rows) one.rows['public.orders'] = 6_000;
      await writeFile(file, JSON.stringify(manifest));
    };
    const failed = await drill(wrong);
    appliance.backups.restore = find;
    expect(failed.error).toMatchObject({ code: 'verdict_fail', exit: 3 });
    expect(failed.error?.message).toContain('public.orders: 5000 rows (expected 6000 rows)');
    expect(await alerts()).toContain('RestoreDrillFailed');
    expect(existsSync(join(paths.root, 'drill'))).toBe(false);
    expect((await drill(wrong)).result).toBe('done');
    expect(await alerts()).not.toContain('RestoreDrillFailed');
  });

  it('says which file of a damaged snapshot cannot be read', async () => {
    const { id: damaged } = await lab.backup('manual');
    const { backups } = await lab.appliance();
    const packs = join(backups.paths.repository, 'data');
    const all = (await readdir(packs, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    const saved = new Map<string, Buffer>();
    for (const { parentPath, name } of all) {
      const path = join(parentPath, name);
      const bytes = await readFile(path);
      saved.set(path, bytes);
      const broken = Buffer.from(bytes);
      for (let at = 0; at < broken.length; at += 97) broken[at] = (broken[at] ?? 0) ^ 0xff;
      await execa('chmod', ['u+w', path]);
      await writeFile(path, broken);
    }
    const failed = await drill(damaged);
    for (const [path, bytes] of saved) await writeFile(path, bytes);
    expect(failed.error).toMatchObject({ code: 'verdict_fail', exit: 3 });
    expect((await report()).findings[0]?.verdict).toBe('fail');
    expect(await alerts()).toContain('RestoreDrillFailed');
    expect(await leftovers()).toEqual([]);
    expect((await drill(id)).result).toBe('done');
  });

  it('is inconclusive without the image of the database, exits 4 and says how to go on', async () => {
    const appliance = await lab.appliance();
    const image = appliance.engine.image.bind(appliance.engine);
    appliance.engine.image = async (reference) => (reference.startsWith('sha256:') ? undefined : image(reference));
    const result = await drill(id);
    appliance.engine.image = image;
    expect(result.error).toMatchObject({ code: 'verdict_inconclusive', exit: 4 });
    expect(result.error?.message).toContain('is not on this host');
    expect(await alerts()).toContain('RestoreDrillInconclusive');
  });

  it('runs as the night: backup, proof, retention, in one operation', async () => {
    const appliance = await lab.appliance();
    const events = appliance.schedule.run(
      'backup',
      { uid: 0, user: 'root', ssh: null },
      0,
      AbortSignal.timeout(timeout),
    );
    let result: OperationResult | undefined;
    for await (const event of events) if (event.event === 'operation-ended') result = event.result;
    expect(result?.steps.map(({ name, state }) => `${name} ${state}`)).toEqual([
      'collect-snapshot done',
      'store-snapshot done',
      'verify-snapshot done',
      'drill-snapshot done',
      'forget-snapshots done',
    ]);
    expect(result?.steps.at(-1)?.detail).toMatch(/are kept|forgotten/);
    expect(appliance.schedule.list()[0]).toMatchObject({ name: 'backup', last: { result: 'done' } });
    const [newest] = await appliance.backups.list(AbortSignal.timeout(timeout));
    expect(newest).toMatchObject({ id: result?.to, kind: 'nightly' });
    expect(newest?.proven).not.toBeNull();
  });
});
