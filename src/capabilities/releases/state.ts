/** live: has the traffic; warm: runs on the other colour; kept: its images are here; gone: they are not. */
export type ReleaseState = 'live' | 'warm' | 'kept' | 'gone';

/** Pure: what a release is, from what was seen. */
export function releaseState(
  id: string,
  seen: {
    readonly live: string | null;
    readonly running: Pick<ReadonlySet<string>, 'has'>;
    readonly imagesPresent: boolean;
  },
): ReleaseState {
  if (seen.live === id) return 'live';
  if (seen.running.has(id)) return 'warm';
  return seen.imagesPresent ? 'kept' : 'gone';
}
