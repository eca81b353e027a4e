import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { expect, it } from 'vitest';

const memory = resolve(import.meta.dirname, '../../src/agent/memory.ts');

/** Largest young generation, in bytes, of a process that makes and keeps objects as a busy agent does. */
async function youngGeneration(before: string): Promise<number> {
  const script = `
    import { getHeapSpaceStatistics } from 'node:v8';
    ${before}
    const kept = [];
    let largest = 0;
    for (let round = 0; round < 100; round += 1) {
      kept[round % 3] = Array.from({ length: 20_000 }, (_, index) => ({ index, list: [index] }));
      const young = getHeapSpaceStatistics().find((space) => space.space_name === 'new_space');
      largest = Math.max(largest, young.space_size);
    }
    console.log(largest);`;
  const { stdout } = await execa(process.execPath, ['--no-warnings', '--input-type=module', '--eval', script], {
    cwd: join(memory, '..'),
  });
  return Number(stdout);
}

it('keeps the young generation of the agent from growing', async () => {
  const usual = await youngGeneration('');
  const small = await youngGeneration(`(await import(${JSON.stringify(memory)})).preferSmall();`);
  // How far it grows depends on how busy the machine is, so the two are compared with each other.
  expect(small).toBeLessThan(usual * 0.75);
});
