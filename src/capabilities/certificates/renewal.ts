const hour = 3_600_000;
const day = 24 * hour;

/** Suggestion of the authority (ACME Renewal Information, RFC 9773), with the point in it that was drawn. Milliseconds since 1970. */
export interface RenewalWindow {
  readonly start: number;
  readonly end: number;
  /** Drawn once and kept, so that restarts do not draw until an early one comes up (RFC 9773 §4.2). */
  readonly point: number;
}

export interface Lifetime {
  readonly notBefore: number;
  readonly notAfter: number;
}

/** Below this lifetime half of it is left for renewals that fail, above it a third. */
const shortLived = 10 * day;
/** Share of the lifetime after which nobody's advice keeps a certificate from being renewed. */
const backstop = 5 / 6;

/**
 * When a certificate is to be renewed (S1-29): at the point that was drawn from the window of its authority, else at 2/3
 * of its lifetime, or at half of it below ten days; never later than at 5/6 of it. Pure.
 * @param window undefined where the authority suggests nothing, or nothing that makes sense (`isSensible`)
 * @returns milliseconds since 1970
 */
export function renewalTime({ notBefore, notAfter }: Lifetime, window: RenewalWindow | undefined): number {
  const lifetime = Math.max(0, notAfter - notBefore);
  const own = notBefore + Math.floor(lifetime * (lifetime < shortLived ? 1 / 2 : 2 / 3));
  const latest = notBefore + Math.floor(lifetime * backstop);
  return Math.min(window?.point ?? own, latest);
}

/** Whether a suggested window can be meant: it has a length, and begins before the certificate ends. */
export function isSensible({ start, end }: Omit<RenewalWindow, 'point'>, { notAfter }: Lifetime): boolean {
  return Number.isFinite(start) && Number.isFinite(end) && end > start && start < notAfter;
}

/** A point within a window. @param random from 0 up to but not including 1 */
export function drawPoint({ start, end }: Omit<RenewalWindow, 'point'>, random: number): number {
  return start + Math.floor((end - start) * random);
}

/**
 * When an automatic attempt may be made again after failures: an hour, doubled each time up to a day, and closer together
 * towards the end of a certificate, so that at least ten more fit in.
 * @param failures in a row
 */
export function retryTime(failures: number, at: number, notAfter: number | undefined): number {
  if (failures === 0) return at;
  const patient = Math.min(day, hour * 2 ** Math.min(failures - 1, 10));
  const pressing = notAfter === undefined || notAfter <= at ? hour : Math.max(60_000, (notAfter - at) / 10);
  return at + Math.min(patient, pressing);
}
