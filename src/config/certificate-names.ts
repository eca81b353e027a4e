import { isIP } from 'node:net';
import { domainToASCII } from 'node:url';
import { ApplianceError } from '../lib/errors.ts';
import type { ChallengeType } from './certificates.ts';

/** Most names that Let's Encrypt puts into a certificate; other authorities take no more either. */
const mostNames = 100;
/** RFC 1035 §2.3.4, without the final dot. */
const longestName = 253;
const label = /^(?!-)[a-z0-9-]{1,63}(?<!-)$/;

export interface NameRules {
  /** Undefined where no authority is asked. */
  readonly challenge: ChallengeType | undefined;
  /** Whether the profile of the authority issues for IP addresses. */
  readonly addresses?: boolean;
}

/**
 * Names as a certificate bears them: lower case, international ones in Punycode (RFC 5891), each once, in the order given.
 * Refused before an attempt is spent: a wildcard that HTTP-01 cannot prove (RFC 8555 §7.1.3), an IP address, too many.
 * @throws ApplianceError `certificate_invalid` with what to write instead
 */
export function normaliseNames(names: readonly string[], rules: NameRules): string[] {
  const normal = [...new Set(names.map((name) => normaliseName(name, rules)))];
  if (normal.length === 0) throw refused('a certificate needs a name', 'list one under edge.domains');
  if (normal.length > mostNames) {
    throw refused(
      `${normal.length} names are more than the ${mostNames} that a certificate may bear`,
      'share them out over several certificates: certificates.sets',
    );
  }
  return normal;
}

function normaliseName(name: string, { challenge, addresses }: NameRules): string {
  const address = name.replace(/^\[(.*)\]$/, '$1');
  if (isIP(address) !== 0) {
    if (challenge === undefined || addresses) return address.toLowerCase();
    throw refused(
      `${name} is an IP address`,
      'use a name; some authorities issue for addresses under a profile such as shortlived',
    );
  }
  const wildcard = name.startsWith('*.');
  const bare = (wildcard ? name.slice(2) : name).replace(/\.$/, '');
  // The URL parser behind it would cut a path off.
  const ascii = /[\s/\\:?#@%]/.test(bare) ? '' : domainToASCII(bare);
  const labels = ascii.split('.');
  if (ascii === '' || isIP(ascii) !== 0 || ascii.length > longestName || !labels.every((part) => label.test(part)))
    throw refused(`${JSON.stringify(name)} is no host name`, 'write one such as shop.example.com');
  if (!wildcard) return ascii;
  if (labels.length < 2) throw refused(`${name} covers a whole top-level domain`, 'write one such as *.example.com');
  if (challenge === 'http-01') {
    throw refused(
      `${name} is a wildcard, and HTTP-01 cannot prove control over one`,
      'use DNS-01: certificates.acme.challenge: dns-01, with a hook',
    );
  }
  return `*.${ascii}`;
}

/** An international name as the name service knows it (RFC 5891); every other text as it stands, for others to judge. */
export function asciiDomain(name: string): string {
  if (/^[ -~]*$/.test(name) || /[\s/\\:?#@%]/.test(name)) return name;
  const wildcard = name.startsWith('*.');
  const ascii = domainToASCII(wildcard ? name.slice(2) : name);
  if (ascii === '') return name;
  return wildcard ? `*.${ascii}` : ascii;
}

/** Whether the names of a certificate cover a name; a wildcard stands for exactly one label (RFC 6125 §6.4.3). */
export function covers(names: readonly string[], name: string): boolean {
  return names.some(
    (one) => one === name || (one.startsWith('*.') && name.slice(name.indexOf('.') + 1) === one.slice(2)),
  );
}

function refused(what: string, hint: string): ApplianceError {
  return new ApplianceError('certificate_invalid', what, { left: 'no attempt was spent', hint });
}
