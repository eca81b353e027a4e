import { describe, expect, it } from 'vitest';
import { alertsOfRollout } from '../../src/capabilities/alerts/rollout-alerts.ts';

const rollout = { to: 'v2', policy: 'flash', weight: 25, isNew: false, odd: [] };

describe('a rollout', () => {
  it('tells of each new share of traffic (S4-37), and only of new ones', () => {
    expect(alertsOfRollout({ ...rollout, isNew: true })).toMatchObject([
      { name: 'TrafficChanged', severity: 'info', summary: 'v2 gets 25 % of the traffic, by policy flash' },
    ]);
    expect(alertsOfRollout(rollout)).toEqual([]);
  });

  it('tells of what is only to be investigated, for as long as it is seen (S1-70)', () => {
    const odd = [{ id: 'S1-70', observed: 'errors 4 %', expected: 'not from 1 % to 10 %' }];
    expect(alertsOfRollout({ ...rollout, odd })).toMatchObject([
      {
        name: 'Investigate',
        severity: 'warning',
        summary: 'S1-70: errors 4 % with v2 at 25 % (expected not from 1 % to 10 %)',
        labels: { target: 'v2', rule: 'S1-70' },
        lasts: 300_000,
      },
    ]);
  });
});
