import { join } from 'node:path';
import type { Paths } from './paths.ts';

export const certificateKinds = ['acme', 'imported', 'self-signed'] as const;
type CertificateKind = (typeof certificateKinds)[number];

/** A key and its chain as one unit on disk. Times are milliseconds since 1970. */
export interface CertificatePair {
  /** `<set>/<version>`. */
  readonly id: string;
  readonly set: string;
  readonly version: string;
  readonly domains: readonly string[];
  readonly keyPath: string;
  readonly chainPath: string;
  /** Hexadecimal, upper case, without leading zeros. */
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** Common name of whoever signed it. */
  readonly issuer: string;
  readonly kind: CertificateKind;
}

/** Where nginx finds what is in force: a link to one version, so that key and chain change together. */
export const currentLink = 'current';

/** Versions of a set; the edge sees it as `/edge/certs/<set>`. */
export function certificateDirectory(paths: Pick<Paths, 'edge'>, set: string): string {
  return join(paths.edge, 'certs', set);
}

/** A serial number as both sides write it: hexadecimal, upper case, no colons, no leading zeros. */
export function serialText(serial: string): string {
  return serial
    .replaceAll(':', '')
    .toUpperCase()
    .replace(/^0+(?=.)/, '');
}
