import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { afterEach, expect, it } from 'vitest';
import { endOrphans } from '../../src/host/orphans.ts';

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

function sleeper(mark: string): ChildProcess {
  const child = spawn('sh', ['-c', 'sleep 600 & wait', mark], { stdio: 'ignore' });
  children.push(child);
  return child;
}

it('ends what a process has started in the moment in which it was killed', async () => {
  const mark = `--mark=${randomUUID()}`;
  const first = sleeper(mark);
  let late: ChildProcess | undefined;
  first.once('exit', () => {
    late = sleeper(mark);
  });
  await once(first, 'spawn');
  // Node tells of it before the kernel knows its arguments.
  await expect.poll(() => readFile(`/proc/${first.pid}/cmdline`, 'utf8')).toContain(mark);
  const ended = await endOrphans([mark]);
  expect(late?.pid).toBeDefined();
  expect(ended).toEqual([first.pid, late?.pid]);
});
