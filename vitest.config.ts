import { defineConfig } from 'vitest/config';

/**
 * Four projects, from fast to slow. `unit` needs no engine; the others use a real Docker Engine and run one file at a
 * time, because they share it.
 */
const project = (name: string, testTimeout: number, parallel: boolean) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.{ts,tsx}`],
    testTimeout,
    hookTimeout: testTimeout,
    fileParallelism: parallel,
  },
});

export default defineConfig({
  test: {
    projects: [
      project('unit', 20_000, true),
      project('integration', 180_000, false),
      project('faults', 900_000, false),
      project('e2e', 180_000, false),
    ],
  },
});
