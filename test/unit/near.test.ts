import { describe, expect, it } from 'vitest';
import { didYouMean, nearMatches } from '../../src/lib/near.ts';

const verbs = ['deploy', 'plan', 'rollback', 'releases', 'status', 'up', 'down', 'ps', 'logs', 'exec', 'audit'];

describe('near matches', () => {
  it.each([
    ['depoy', ['deploy']],
    ['stauts', ['status']],
    ['lgos', ['logs']],
    ['rolback', ['rollback']],
    ['pln', ['plan']],
    ['rel', ['releases']],
    ['deployment', ['deploy']],
    ['sp', ['ps', 'up']],
  ])('%s', (wanted, near) => {
    expect(nearMatches(wanted, verbs)).toEqual(near);
  });

  it.each(['bla', 'nope', 'xyzzyplugh', 'foo', 'list'])('%s is near nothing', (wanted) => {
    expect(nearMatches(wanted, verbs)).toEqual([]);
    expect(didYouMean(wanted, verbs)).toBeUndefined();
  });

  it('gives three at most, the nearest first, each once', () => {
    expect(nearMatches('v1.0-p3', ['v1.0-p1', 'v1.0-p30', 'v1.0-p2', 'v1.0-p2', 'v2.0-p1'])).toEqual([
      'v1.0-p1',
      'v1.0-p2',
      'v1.0-p30',
    ]);
  });
});
