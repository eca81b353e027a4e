import { runInstalled } from './run-installed.ts';

export interface Gpu {
  readonly name: string;
  readonly driver: string;
  /** Bytes. */
  readonly memory: number;
  readonly free: number;
}

const query = ['--query-gpu=name,driver_version,memory.total,memory.free', '--format=csv,noheader,nounits'];

/** The GPUs that the driver knows; undefined when there is no nvidia-smi. @throws ApplianceError `timeout` */
export async function gpus(signal: AbortSignal): Promise<Gpu[] | undefined> {
  const result = await runInstalled('nvidia-smi', query, { timeout: 5_000, signal });
  if (result === undefined) return undefined;
  return result.exitCode === 0 ? parseGpus(result.stdout) : [];
}

/** Lines such as `NVIDIA L4, 550.54.15, 23034, 22500`, sizes in MiB. Pure. */
export function parseGpus(text: string): Gpu[] {
  return text.split('\n').flatMap((line) => {
    const [name, driver, memory, free] = line.split(',').map((part) => part.trim());
    if (!name || !driver || !memory || !free) return [];
    return [{ name, driver, memory: Number(memory) * 2 ** 20, free: Number(free) * 2 ** 20 }];
  });
}
