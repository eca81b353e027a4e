import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { IssuingLab } from '../support/issuing.ts';
import { hostAddress, Pebble } from '../support/pebble.ts';

const child = join(import.meta.dirname, 'issue-once.ts');
let server: IssuingLab;
let pebble: Pebble;

beforeAll(async () => {
  server = await IssuingLab.make();
  pebble = await Pebble.start({ address: await hostAddress(), port: server.port, nonceReject: 0 });
});
afterAll(async () => {
  await pebble?.stop();
  await server.close();
});

/** One process that issues; it serves what it answers with through the web server of this test. */
function issue(killAfter = 0) {
  const args = [server.root, pebble.directory, pebble.root, String(server.port), String(killAfter)];
  return execa(process.execPath, ['--no-warnings', child, ...args], { reject: false, timeout: 120_000 });
}

const left = async (directory: string): Promise<string[]> => readdir(directory).catch(() => []);

test('an order survives kill -9 after each answer of the authority, and is counted once (S1-29)', async () => {
  let deaths = 0;
  let known = (await server.store.list('edge')).length;
  for (let killAfter = 1; ; killAfter += 1) {
    const begun = count('begun');
    const first = await issue(killAfter);
    const died = first.signal === 'SIGKILL';
    expect(died || first.exitCode === 0, first.stderr).toBe(true);
    if (died) {
      deaths += 1;
      const second = await issue();
      expect(second.exitCode, `after request ${killAfter}: ${second.stderr}`).toBe(0);
    }
    const where = `killed after request ${killAfter}`;
    known += 1;
    expect((await server.store.list('edge')).length, where).toBe(known);
    expect(await left(join(server.root, 'certificates/orders')), where).toEqual([]);
    expect(await left(server.acmeDirectory), where).toEqual([]);
    expect(count('begun') - begun, where).toBe(1);
    if (!died) break;
  }
  // Directory, account, order, authorization, challenge, finalisation, certificate: two requests each at the least.
  expect(deaths).toBeGreaterThan(12);
  expect(count('issued')).toBe(known);
});

function count(kind: string): number {
  const row = server.database.prepare('SELECT count(*) AS n FROM certificate_events WHERE kind = ?').get(kind);
  return typeof row === 'object' && row !== null && 'n' in row ? Number(row.n) : -1;
}
