import { readFile } from 'node:fs/promises';

/**
 * The last of the processors that this process may use, so that the others are left to those who serve.
 * @param wanted how many, at least one
 * @returns as the kernel lists them, such as `6-7`; undefined where that would be all of them
 */
export async function lastProcessors(wanted: number): Promise<string | undefined> {
  return lastOf(/^Cpus_allowed_list:\s*(.*)$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1] ?? '', wanted);
}

/** @param list of the kernel: numbers and ranges between commas (man7.org, cpuset(7), "List format") */
export function lastOf(list: string, wanted: number): string | undefined {
  const all = list.split(',').flatMap((part) => {
    const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(part.trim()) ?? [];
    if (first === undefined) return [];
    return Array.from({ length: Number(last) - Number(first) + 1 }, (_, index) => Number(first) + index);
  });
  return all.length > wanted ? all.slice(-wanted).join(',') : undefined;
}
