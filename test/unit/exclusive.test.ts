import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acquireExclusive } from '../../src/host/exclusive.ts';

const module = resolve(import.meta.dirname, '../../src/host/exclusive.ts');
const me = { pid: process.pid, what: 'test', user: 'root', since: '2030-01-01T00:00:00Z' };

describe('the lock of the one writer', () => {
  let path: string;
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'lock-'));
    path = join(folder, 'writer.lock');
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  /** Another process that takes the lock and, if told so, a child of its own that outlives it. */
  async function holder() {
    const code = `const { acquireExclusive } = await import(${JSON.stringify(module)});
      const got = acquireExclusive(${JSON.stringify(path)}, { pid: process.pid, what: 'other', user: 'anna', since: 'then' });
      process.send('release' in got ? 'held' : 'refused'); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', code], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const [said] = await once(child, 'message');
    return { child, said };
  }

  it('is held once, says by whom, and can be had again after it is released', () => {
    const first = acquireExclusive(path, me);
    if (!('release' in first)) throw new Error('not got');
    expect(acquireExclusive(path, me)).toEqual({ heldBy: me });
    first.release();
    const second = acquireExclusive(path, me);
    expect('release' in second).toBe(true);
    if ('release' in second) second.release();
  });

  it('keeps another process out, and ends with it however it ends', async () => {
    const { child, said } = await holder();
    expect(said).toBe('held');
    expect(acquireExclusive(path, me)).toMatchObject({ heldBy: { what: 'other', user: 'anna' } });
    child.kill('SIGKILL');
    await once(child, 'exit');
    const got = acquireExclusive(path, me);
    expect('release' in got).toBe(true);
    if ('release' in got) got.release();
  });

  it('a stopped process keeps it: there is no time-out to run into', async () => {
    const { child } = await holder();
    child.kill('SIGSTOP');
    expect(acquireExclusive(path, me)).toMatchObject({ heldBy: { what: 'other' } });
    child.kill('SIGKILL');
    await once(child, 'exit');
  });

  it('is got although another process has just looked whether it is free', async () => {
    const code = `const { default: Sqlite } = await import(${JSON.stringify(import.meta.resolve('better-sqlite3'))});
      const database = new Sqlite(${JSON.stringify(path)});
      const look = database.prepare('SELECT * FROM sqlite_schema');
      process.on('message', () => {
        database.exec('BEGIN'); look.all(); process.send('looking');
        setTimeout(() => { database.exec('COMMIT'); process.send('over'); }, 20);
      });
      process.send('ready');`;
    const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', code], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    await once(child, 'message');
    const rounds: boolean[] = [];
    // A process that is not let run looks for longer than anybody can wait for it; not every time.
    for (let round = 0; round < 5; round += 1) {
      child.send('look');
      await once(child, 'message');
      const got = acquireExclusive(path, me);
      rounds.push('release' in got);
      if ('release' in got) got.release();
      await once(child, 'message');
    }
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(rounds).toContain(true);
  });
});
