// Reads the JSON report of one vitest run: `node scripts/count-tests.js REPORT STATUS`.
// Prints "PASSED FAILED SKIPPED", then one line for each failure. A report of no tests counts as one failure, and so
// does an exit status of vitest that no failed test explains (an unhandled rejection, a file that does not load).

import { readFileSync } from 'node:fs';

const [report, status] = process.argv.slice(2);
const { testResults } = JSON.parse(readFileSync(report, 'utf8'));
const counts = { passed: 0, failed: 0, skipped: 0 };
const failures = [];

for (const file of testResults) {
  const name = file.name.replace(`${process.cwd()}/`, '');
  for (const { status: state, fullName, failureMessages } of file.assertionResults) {
    if (state === 'passed') counts.passed += 1;
    else if (state === 'failed') {
      counts.failed += 1;
      failures.push(`${name}: ${fullName}: ${(failureMessages[0] ?? '').split('\n')[0]}`);
    } else counts.skipped += 1;
  }
  if (file.status === 'failed' && !file.assertionResults.some((result) => result.status === 'failed')) {
    counts.failed += 1;
    failures.push(`${name}: ${(file.message || 'the file failed outside its tests').split('\n')[0]}`);
  }
}
if (counts.passed + counts.failed === 0) {
  counts.failed += 1;
  failures.push(`no test ran (${counts.skipped} skipped)`);
} else if (Number(status) !== 0 && counts.failed === 0) {
  counts.failed += 1;
  failures.push(`vitest ended with status ${status} though every test passed`);
}
console.log([`${counts.passed} ${counts.failed} ${counts.skipped}`, ...failures].join('\n'));
