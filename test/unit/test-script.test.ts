import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';

const script = join(import.meta.dirname, '../../test.sh');

/** How `test.sh` ends when its parts have passed and failed so often. */
async function ending(counts: {
  passed: number;
  failed: number;
  status?: number;
}): Promise<{ code: number; said: string }> {
  const text = await readFile(script, 'utf8');
  const [finish = ''] = /^finish\(\) \{$[\s\S]*?^\}$/m.exec(text) ?? [];
  const [fail = ''] = /^fail\(\) .*$/m.exec(text) ?? /^fail\(\) \{$[\s\S]*?^\}$/m.exec(text) ?? [];
  const program = `${finish}\n${fail}
    wants_engine() { return 1; }
    scratch='' passed=${counts.passed} failed=${counts.failed} skipped=0 failures=()
    trap finish EXIT
    exit ${counts.status ?? 0}`;
  return promisify(execFile)('bash', ['-c', program]).then(
    ({ stdout }) => ({ code: 0, said: stdout }),
    (error: { code: number; stdout: string }) => ({ code: error.code, said: error.stdout }),
  );
}

// A run that fails must say so by its exit status, which is all that its callers read.
it('ends with 0 when everything has passed', async () => {
  expect(await ending({ passed: 3, failed: 0 })).toMatchObject({ code: 0, said: expect.stringContaining('3 passed') });
});

it.each([
  ['a part has failed', { passed: 3, failed: 1 }],
  ['nothing was tested', { passed: 0, failed: 0 }],
  ['it ended early', { passed: 3, failed: 0, status: 1 }],
  ['it was interrupted', { passed: 3, failed: 0, status: 130 }],
])('ends with a failure when %s', async (_, counts) => {
  expect((await ending(counts)).code).not.toBe(0);
});
