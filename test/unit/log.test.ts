import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execaSync } from 'execa';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createLog } from '../../src/lib/log.ts';
import { unmount } from '../support/mounts.ts';

const patience = { timeout: 10_000 };

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'log-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it('goes on when a full disk has room again', async ({ skip }) => {
  const mount = (size: string, ...more: string[]) =>
    execaSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, ...more, 'tmpfs', directory], { reject: false });
  if (mount('4k').exitCode !== 0) return skip('a tmpfs cannot be mounted here');
  try {
    const path = join(directory, 'agent.log');
    // It complains once, in the instant in which there is no room any more.
    const complaints = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    const log = await createLog(path);
    const text = () => readFileSync(path, 'utf8');
    await vi.waitFor(() => {
      log.info('x'.repeat(500));
      expect(complaints).toHaveBeenCalledWith(expect.stringContaining('the log cannot be written'));
    }, patience);
    complaints.mockRestore();
    expect(text().length).toBe(4_096);
    execaSync('mount', ['-o', 'remount,size=1m', directory]);
    await vi.waitFor(() => {
      log.info('room again');
      expect(text()).toContain('room again');
    }, patience);
    await log.flush();
    const [lost] = text()
      .split('\n')
      .filter((line) => line.includes('"lost"'));
    expect(JSON.parse(lost ?? '')).toMatchObject({ level: 40, lost: expect.any(Number), msg: 'lines were lost' });
  } finally {
    unmount(directory);
  }
});

it('gives every line to a second reader as well', async () => {
  const copied: string[] = [];
  const log = await createLog(join(directory, 'agent.log'), {
    write: (line: unknown) => copied.push(String(line)) > 0,
  });
  log.warn({ containers: ['edge'] }, 'started again');
  await log.flush();
  expect(copied.map((line) => JSON.parse(line))).toEqual([
    { level: 40, time: expect.any(String), containers: ['edge'], msg: 'started again' },
  ]);
  expect(readFileSync(join(directory, 'agent.log'), 'utf8')).toBe(copied.join(''));
});
