import { readdir, readFile, readlink } from 'node:fs/promises';

/** Clock ticks in a second of /proc/PID/stat: USER_HZ, 100 on every architecture that Linux runs Node.js on. */
const ticks = 100;

/** Processor time of a process and of the children that it has waited for, in seconds (proc(5), fields 14 to 17). */
export async function cpuSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The second field is the name, in parentheses, and may hold anything; the third follows the last parenthesis.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) / ticks;
}

/** Resident memory of a process in bytes, and how much of it belongs to no file. */
export async function memoryOf(pid: number): Promise<{ resident: number; anonymous: number }> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8');
  const field = (name: string): number => {
    const kilobytes = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
    if (kilobytes === undefined) throw new Error(`/proc/${pid}/status has no ${name}`);
    return Number(kilobytes) * 1_024;
  };
  return { resident: field('VmRSS'), anonymous: field('RssAnon') };
}

/** The Docker Engine of this host; not one that runs inside of a container. */
export async function enginePids(): Promise<number[]> {
  const ours = await readlink('/proc/self/ns/pid');
  const pids: number[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const name = (await readFile(`/proc/${entry}/comm`, 'utf8')).trim();
      if (!['dockerd', 'containerd'].includes(name)) continue;
      if ((await readlink(`/proc/${entry}/ns/pid`)) === ours) pids.push(Number(entry));
    } catch {
      // It has ended since the directory was read.
    }
  }
  if (pids.length === 0) throw new Error('no dockerd was found among the processes of this host; run it as root');
  return pids;
}
