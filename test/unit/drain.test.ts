import { expect, test } from 'vitest';
import { countConnections } from '../../src/capabilities/traffic/connections.ts';
import { type DrainReport, describeDrain } from '../../src/lib/drain.ts';

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 0200D50A:B3A2 0A00D50A:1F40 01 00000000:00000000 00:00000000 00000000    33        0 2 1 0 20 4 30 10 -1
   2: 0200D50A:B3A4 0A00D50A:1F40 06 00000000:00000000 03:00000123 00000000     0        0 0 3 0
   3: 0200D50A:B3A6 0B00D50A:1F40 01 00000000:00000000 00:00000000 00000000    33        0 3 1 0 20 4 30 10 -1
   4: 0201D50A:B3A8 0A01D50A:1F40 01 00000000:00000000 00:00000000 00000000    33        0 4 1 0 20 4 30 10 -1
   5: 0200D50A:0050 0A00D50A:9C40 01 00000000:00000000 00:00000000 00000000    33        0 6 1 0 20 4 30 10 -1
   6: 0A00D50A:1F40 0200D50A:B3A2 01 00000000:00000000 00:00000000 00000000    33        0 5 1 0 20 4 30 10 -1
`;

test('counts established connections to the addresses of a colour, from the side of the edge', () => {
  expect(countConnections(table, ['10.213.0.10'])).toBe(1);
  expect(countConnections(table, ['10.213.0.10', '10.213.0.11'])).toBe(2);
  expect(countConnections(table, ['10.213.1.10'])).toBe(1);
  expect(countConnections(table, ['10.213.0.12'])).toBe(0);
  expect(countConnections('', ['10.213.0.10'])).toBe(0);
});

test('a report says who was connected, the longest first, and how many are not known', () => {
  const report = (open: number | null, seen: number): DrainReport => ({
    colour: 'blue',
    seconds: 60,
    limitSeconds: 60,
    open,
    requests: Array.from({ length: seen }, (_, at) => ({
      client: '10.0.0.5',
      method: 'GET',
      path: `/${at}`,
      seconds: 61,
    })),
  });
  expect(describeDrain(report(0, 0))).toBe('nothing was in flight any more after 1 min 00 s');
  expect(describeDrain(report(1, 1))).toBe(
    '1 connection was still open after 1 min 00 s and had to end: GET /0 from 10.0.0.5 (1 min 01 s)',
  );
  expect(describeDrain(report(5, 4))).toMatch(/: GET \/0 .*, GET \/2 from 10\.0\.0\.5 \(1 min 01 s\), 2 more$/);
  expect(describeDrain(report(2, 0))).toMatch(/: the access log does not say whose$/);
  expect(describeDrain(report(null, 0))).toBe('who was still connected could not be seen');
});
