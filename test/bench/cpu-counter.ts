import { readFile } from 'node:fs/promises';
import { docker } from '../integration/edge-lab.ts';

/** Reads the CPU time that containers have used together, in microseconds, from version 1 or 2 of control groups. */
export async function cpuCounter(...containers: string[]): Promise<() => Promise<number>> {
  const readers = await Promise.all(
    containers.map(async (container) => {
      const pid = await docker('inspect', '--format', '{{.State.Pid}}', container);
      const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8');
      const old = /^\d+:(?:[^:]*,)?cpuacct(?:,[^:]*)?:(.*)$/m.exec(groups)?.[1];
      if (old !== undefined) {
        return async () => Number(await readFile(`/sys/fs/cgroup/cpuacct${old}/cpuacct.usage`, 'utf8')) / 1_000;
      }
      const path = /^0::(.*)$/m.exec(groups)?.[1] ?? '';
      return async () => {
        const usage = /^usage_usec (\d+)$/m.exec(await readFile(`/sys/fs/cgroup${path}/cpu.stat`, 'utf8'))?.[1];
        if (usage === undefined) throw new Error(`the control group of ${container} has no usage_usec`);
        return Number(usage);
      };
    }),
  );
  return async () => (await Promise.all(readers.map((read) => read()))).reduce((sum, value) => sum + value, 0);
}

/** Reads the CPU time that the workers of an nginx container have used, in microseconds: nothing else that runs in it. */
export async function workerCpuCounter(container: string): Promise<() => Promise<number>> {
  const master = await docker('inspect', '--format', '{{.State.Pid}}', container);
  return async () => {
    const workers = (await readFile(`/proc/${master}/task/${master}/children`, 'utf8')).split(' ').filter(Boolean);
    const used = await Promise.all(workers.map((pid) => readFile(`/proc/${pid}/schedstat`, 'utf8').catch(() => '0')));
    return used.reduce((sum, text) => sum + Number(text.split(' ')[0]) / 1_000, 0);
  };
}
