import { readFile } from 'node:fs/promises';

/** Memory that new programs can have without swapping, in bytes (proc(5): MemAvailable); null when the kernel does not tell. */
export async function availableMemory(): Promise<number | null> {
  const line = /^MemAvailable:\s+(\d+) kB$/m.exec(await readFile('/proc/meminfo', 'utf8'));
  return line ? Number(line[1]) * 1024 : null;
}
