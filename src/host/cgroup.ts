import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What a container has used, read from the kernel: asking the engine would cost it far more than the answer is worth. */
export interface Usage {
  /** Nanoseconds of processor time since the start. */
  readonly cpuNanoseconds: number;
  /** Bytes, without the page cache that can be given back. */
  readonly memoryBytes: number;
  /** Null without a limit. */
  readonly memoryLimitBytes: number | null;
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly pids: number;
}

/** Above this a cgroup v1 limit means "none" (it is the largest page-aligned number). */
const noLimit = 2 ** 60;

/**
 * Usage of the container that a process belongs to; cgroup v1 and v2. Read at once: these files live in memory, and
 * handing each of them to another thread costs several times what reading it does.
 * @param pid process id on the host of the container's first process
 * @returns undefined when the process is gone or the kernel does not tell
 */
export function readUsage(pid: number): Usage | undefined {
  try {
    const groups = text(`/proc/${pid}/cgroup`).trim().split('\n');
    const network = readNetwork(pid);
    const unified = groups.find((line) => line.startsWith('0::'))?.slice(3);
    const v1 = (controller: string): string | undefined => {
      const line = groups.find((group) => group.split(':')[1]?.split(',').includes(controller));
      return line && join('/sys/fs/cgroup', controller, line.split(':').slice(2).join(':'));
    };
    const memory = v1('memory');
    const cpu = v1('cpuacct');
    if (memory && cpu) return { ...usageV1(memory, cpu, v1('pids')), ...network };
    return unified ? { ...usageV2(join('/sys/fs/cgroup', unified)), ...network } : undefined;
  } catch {
    return undefined;
  }
}

type GroupUsage = Omit<Usage, 'rxBytes' | 'txBytes'>;

function usageV1(memory: string, cpu: string, pids: string | undefined): GroupUsage {
  const limit = number(join(memory, 'memory.limit_in_bytes'));
  const cache = field(join(memory, 'memory.stat'), 'total_inactive_file');
  return {
    cpuNanoseconds: number(join(cpu, 'cpuacct.usage')),
    memoryBytes: Math.max(0, number(join(memory, 'memory.usage_in_bytes')) - cache),
    memoryLimitBytes: limit >= noLimit ? null : limit,
    pids: pids === undefined ? 0 : number(join(pids, 'pids.current')),
  };
}

function usageV2(group: string): GroupUsage {
  const limit = text(join(group, 'memory.max')).trim();
  const cache = field(join(group, 'memory.stat'), 'inactive_file');
  return {
    cpuNanoseconds: field(join(group, 'cpu.stat'), 'usage_usec') * 1_000,
    memoryBytes: Math.max(0, number(join(group, 'memory.current')) - cache),
    memoryLimitBytes: limit === 'max' ? null : Number(limit),
    pids: number(join(group, 'pids.current')),
  };
}

function readNetwork(pid: number): { rxBytes: number; txBytes: number } {
  let [rxBytes, txBytes] = [0, 0];
  for (const line of text(`/proc/${pid}/net/dev`).split('\n').slice(2)) {
    const [name, rest] = line.split(':');
    const columns = rest?.trim().split(/\s+/);
    if (!columns || name?.trim() === 'lo') continue;
    rxBytes += Number(columns[0]);
    txBytes += Number(columns[8]);
  }
  return { rxBytes, txBytes };
}

function text(path: string): string {
  return readFileSync(path, 'utf8');
}

function number(path: string): number {
  return Number(text(path));
}

/** One value of a file of `name value` lines; 0 when it is not there. */
function field(path: string, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text(path))?.[1] ?? 0);
}
