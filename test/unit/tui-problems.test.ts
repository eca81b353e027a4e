import { expect, it } from 'vitest';
import { glyphsFor } from '../../src/tui/line.ts';
import { problemLines } from '../../src/tui/screens/problems.ts';

it('an alert of severity info has no mark of a failure', () => {
  const alert = (severity: 'info' | 'warning') => ({ id: severity, severity, summary: 'told', since: 'now' });
  const status = { findings: [], alerts: [alert('warning'), alert('info')] };
  const lines = problemLines(status, { width: 80, height: 24 }, glyphsFor({ LANG: 'C.UTF-8' }));
  expect(lines.map((line) => line.map(({ text }) => text).join(''))).toEqual([
    ' \u2717 warning: told',
    ' \u00b7 info: told',
  ]);
});
