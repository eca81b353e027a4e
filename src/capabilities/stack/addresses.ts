import { ApplianceError } from '../../lib/errors.ts';

/** An IPv4 range as numbers, so that ranges can be compared. */
export interface Range {
  /** First address as an unsigned 32-bit number. */
  readonly first: number;
  readonly last: number;
  /** For people: `10.213.0.0/24`. */
  readonly text: string;
}

function addressToNumber(text: string): number {
  return text.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
}

export function numberToAddress(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.');
}

/** @param text an IPv4 range such as `10.213.0.0/16`; undefined is returned for anything else (IPv6, for example) */
export function parseRange(text: string): Range | undefined {
  const match = /^(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})\/(\d{1,2})$/.exec(text);
  const [, address, bits] = match ?? [];
  if (address === undefined || bits === undefined || Number(bits) > 32) return undefined;
  if (address.split('.').some((octet) => Number(octet) > 255)) return undefined;
  const size = 2 ** (32 - Number(bits));
  const first = Math.floor(addressToNumber(address) / size) * size;
  return { first, last: first + size - 1, text };
}

/**
 * An address inside a /24.
 * @param host last octet, 1 to 254
 */
export function hostAddress(subnet: string, host: number): string {
  const range = parseRange(subnet);
  if (!range || range.last - range.first !== 255)
    throw new ApplianceError('internal', `${subnet} is not an IPv4 /24 network`);
  return numberToAddress(range.first + host);
}

/** What the parts of a colour's /24 are for (DESIGN §3). */
export const plan = {
  gateway: 1,
  edge: 2,
  /** First fixed address of an app container. */
  firstApp: 10,
  lastApp: 127,
} as const;

/** Upper half of a /24: where the engine takes addresses for containers that have no fixed one. */
export function dynamicRange(subnet: string): string {
  return `${hostAddress(subnet, 128)}/25`;
}

/** Core services keep published ports that nobody outside the host can reach, for psql and the like. */
export function isLoopback(address: string | undefined): boolean {
  return address !== undefined && (/^127\./.test(address) || address === '::1');
}
