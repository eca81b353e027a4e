import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tidy } from '../../src/agent/tidy.ts';
import { drillLabel } from '../../src/capabilities/backups/drill.ts';
import { BackupLab } from '../support/backup-lab.ts';

/** A drill whose process is killed, and one without an engine (S4-53). */
const timeout = 600_000;
let lab: BackupLab;
beforeAll(async () => {
  lab = await BackupLab.make({ name: 'drill-faults', backups: { drill: { memory: '512MiB' } } });
  await lab.sql('CREATE TABLE orders AS SELECT n FROM generate_series(1, 100) AS n');
  expect((await lab.backup('manual')).result.error).toBeUndefined();
}, timeout);
afterAll(async () => {
  await lab?.destroy();
}, timeout);

async function containers(): Promise<string[]> {
  const { stdout } = await execa('docker', ['ps', '-aq', '--filter', `label=${drillLabel}=${lab.name}`]);
  return stdout.split('\n').filter((line) => line !== '');
}

describe('a drill', { timeout }, () => {
  it('that is killed leaves nothing behind the next start, and the schedule tries it again', async () => {
    lab.close();
    const program = join(import.meta.dirname, 'drill-process.ts');
    const child = execa('node', [program, lab.root], { reject: false });
    let ended = false;
    void child.finally(() => {
      ended = true;
    });
    while ((await containers()).length === 0 && !ended) await delay(50);
    child.kill('SIGKILL');
    const { signal, stdout } = await child;
    expect({ signal, stdout }).toEqual({ signal: 'SIGKILL', stdout: '' });
    expect(await containers()).toHaveLength(1);
    const appliance = await lab.appliance();
    const scratch = join(appliance.backups.paths.root, 'drill');
    expect(existsSync(scratch)).toBe(true);

    await tidy(appliance);
    expect(await containers()).toEqual([]);
    expect(existsSync(scratch)).toBe(false);
    const [settled] = await appliance.operations.recover(AbortSignal.timeout(timeout));
    expect(settled).toMatchObject({ kind: 'backup-drill', result: 'failed' });
    appliance.schedule.tick(AbortSignal.abort());
    expect(appliance.schedule.list().find(({ name }) => name === 'drill')).toMatchObject({
      last: { result: 'interrupted', operation: settled?.operation },
    });
    expect(await lab.sql('SELECT count(*) FROM orders')).toBe('100');
  });

  it('without an engine is inconclusive, raises an alert and touches nothing', async () => {
    lab.close();
    const before = process.env.DOCKER_HOST;
    process.env.DOCKER_HOST = 'unix:///nowhere/docker.sock';
    try {
      const appliance = await lab.appliance();
      const result = await lab.run('backup-drill', appliance.drills.plan('latest', 'usual'));
      expect(result.error).toMatchObject({ code: 'verdict_inconclusive', exit: 4 });
      expect(result.error?.message).toContain('the Docker Engine does not answer');
      expect(result.error?.hint).toContain('start it');
      expect(appliance.drills.reports.last()?.verdict).toBe('inconclusive');
      const { alerts } = await appliance.alerting.desk.view(AbortSignal.timeout(5_000));
      expect(alerts.map(({ name }) => name)).toEqual(['RestoreDrillInconclusive']);
    } finally {
      lab.close();
      if (before === undefined) delete process.env.DOCKER_HOST;
      else process.env.DOCKER_HOST = before;
    }
  });
});
