/** What retention needs to know of one release. */
export interface RetentionCandidate {
  readonly id: string;
  readonly tag: string;
  /** `gone`: its images are not on this host any more. */
  readonly state: 'live' | 'warm' | 'kept' | 'gone';
  readonly pinned: boolean;
  /** Milliseconds since 1970 of the last deployment; null when it was never live. */
  readonly deployedAt: number | null;
  /** Bytes that its images take; layers shared with others are counted here too, so the sum is an upper bound. */
  readonly bytes: number;
}

export interface RetentionDecision {
  readonly id: string;
  readonly tag: string;
  readonly keep: boolean;
  /** Why, for people: every decision can be explained. */
  readonly reason: string;
}

/**
 * Which releases keep their images. Pure. Live, warm and pinned releases and the one before the live one are always
 * kept; the others, newest first, as long as both limits allow. Age plays no part: a set must not empty itself
 * while nobody deploys, and the clock of a host may be set.
 * @param candidates newest first
 * @param limits.releases how many releases are kept in all
 * @param limits.bytes how much their images may take in all
 */
export function decideRetention(
  candidates: readonly RetentionCandidate[],
  limits: { readonly releases: number; readonly bytes: number },
): RetentionDecision[] {
  const present = candidates.filter((c) => c.state !== 'gone');
  const newestFirst = [
    ...present.filter((c) => c.deployedAt !== null),
    ...present.filter((c) => c.deployedAt === null),
  ];
  const previous = newestFirst.find((c) => c.state !== 'live' && c.deployedAt !== null);
  const untouchable = (c: RetentionCandidate): string | null => {
    if (c.state === 'live') return 'it is live';
    if (c.state === 'warm') return 'it is warm';
    if (c.pinned) return 'it is pinned';
    if (c === previous) return 'it is the release before the live one';
    return null;
  };
  let count = newestFirst.filter((c) => untouchable(c) !== null).length;
  let bytes = newestFirst.filter((c) => untouchable(c) !== null).reduce((sum, c) => sum + c.bytes, 0);
  return newestFirst.map((candidate) => {
    const { id, tag } = candidate;
    const fixed = untouchable(candidate);
    if (fixed !== null) return { id, tag, keep: true, reason: fixed };
    if (count + 1 > limits.releases) return { id, tag, keep: false, reason: `more than ${limits.releases} releases` };
    if (bytes + candidate.bytes > limits.bytes)
      return { id, tag, keep: false, reason: `more than ${limits.bytes} bytes of images` };
    count += 1;
    bytes += candidate.bytes;
    return { id, tag, keep: true, reason: `one of the last ${limits.releases}` };
  });
}
