import { readFile } from 'node:fs/promises';
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
 * Usage of the container that a process belongs to; cgroup v1 and v2.
 * @param pid process id on the host of the container's first process
 * @returns undefined when the process is gone or the kernel does not tell
 */
export async function readUsage(pid: number): Promise<Usage | undefined> {
  try {
    const groups = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).trim().split('\n');
    const network = await readNetwork(pid);
    const unified = groups.find((line) => line.startsWith('0::'))?.slice(3);
    const v1 = (controller: string): string | undefined => {
      const line = groups.find((group) => group.split(':')[1]?.split(',').includes(controller));
      return line && join('/sys/fs/cgroup', controller, line.split(':').slice(2).join(':'));
    };
    const memory = v1('memory');
    const cpu = v1('cpuacct');
    if (memory && cpu) return { ...(await usageV1(memory, cpu, v1('pids'))), ...network };
    return unified ? { ...(await usageV2(join('/sys/fs/cgroup', unified))), ...network } : undefined;
  } catch {
    return undefined;
  }
}

type GroupUsage = Omit<Usage, 'rxBytes' | 'txBytes'>;

async function usageV1(memory: string, cpu: string, pids: string | undefined): Promise<GroupUsage> {
  const [nanoseconds, usage, limit, stat, count] = await Promise.all([
    number(join(cpu, 'cpuacct.usage')),
    number(join(memory, 'memory.usage_in_bytes')),
    number(join(memory, 'memory.limit_in_bytes')),
    fields(join(memory, 'memory.stat')),
    pids === undefined ? 0 : number(join(pids, 'pids.current')),
  ]);
  return {
    cpuNanoseconds: nanoseconds,
    memoryBytes: Math.max(0, usage - (stat.get('total_inactive_file') ?? 0)),
    memoryLimitBytes: limit >= noLimit ? null : limit,
    pids: count,
  };
}

async function usageV2(group: string): Promise<GroupUsage> {
  const [cpu, usage, limit, stat, count] = await Promise.all([
    fields(join(group, 'cpu.stat')),
    number(join(group, 'memory.current')),
    readFile(join(group, 'memory.max'), 'utf8'),
    fields(join(group, 'memory.stat')),
    number(join(group, 'pids.current')),
  ]);
  return {
    cpuNanoseconds: (cpu.get('usage_usec') ?? 0) * 1_000,
    memoryBytes: Math.max(0, usage - (stat.get('inactive_file') ?? 0)),
    memoryLimitBytes: limit.trim() === 'max' ? null : Number(limit),
    pids: count,
  };
}

async function readNetwork(pid: number): Promise<{ rxBytes: number; txBytes: number }> {
  const lines = (await readFile(`/proc/${pid}/net/dev`, 'utf8')).split('\n').slice(2);
  let [rxBytes, txBytes] = [0, 0];
  for (const line of lines) {
    const [name, rest] = line.split(':');
    const columns = rest?.trim().split(/\s+/);
    if (!columns || name?.trim() === 'lo') continue;
    rxBytes += Number(columns[0]);
    txBytes += Number(columns[8]);
  }
  return { rxBytes, txBytes };
}

async function number(path: string): Promise<number> {
  return Number(await readFile(path, 'utf8'));
}

/** A file of `name value` lines. */
async function fields(path: string): Promise<Map<string, number>> {
  const lines = (await readFile(path, 'utf8')).trim().split('\n');
  return new Map(
    lines.map((line) => {
      const [name = '', value] = line.split(' ');
      return [name, Number(value)];
    }),
  );
}
