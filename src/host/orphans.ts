import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

/** Milliseconds that a killed process may take to disappear. */
const patience = 5_000;

/**
 * Ends processes that an earlier, killed appliance left running: a child outlives its parent, and a Compose that still
 * starts containers would work against whoever takes them away.
 * @param marks arguments that all stand in the command line of such a process and in no other
 * @returns ids of the processes that were ended
 */
export async function endOrphans(marks: readonly string[]): Promise<number[]> {
  const ended = new Set<number>();
  const deadline = performance.now() + patience;
  // One that was killed may have started another a moment before: only a look that finds none says that there is none.
  for (;;) {
    const found = await processesWith(marks);
    if (found.length === 0) return [...ended];
    for (const pid of found) if (kill(pid)) ended.add(pid);
    while ((await Promise.all(found.map(isRunning))).includes(true)) {
      if (performance.now() >= deadline) return [...ended];
      await delay(20);
    }
  }
}

async function processesWith(marks: readonly string[]): Promise<number[]> {
  const found: number[] = [];
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const argv = await argumentsOf(pid);
    if (marks.every((mark) => argv.includes(mark)) && (await isRunning(pid))) found.push(pid);
  }
  return found;
}

async function argumentsOf(pid: number): Promise<string[]> {
  try {
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).split('\0');
  } catch {
    return []; // It ended while we looked.
  }
}

/** A zombie has ended, even if nobody has asked for its exit status yet. */
async function isRunning(pid: number): Promise<boolean> {
  try {
    const state = /\)\s+(\S)/.exec(await readFile(`/proc/${pid}/stat`, 'utf8'))?.[1];
    return state !== 'Z' && state !== 'X';
  } catch {
    return false;
  }
}

function kill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL');
  } catch {
    return false;
  }
}
