import type { AcmeError } from '../../host/acme.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { formatDuration } from '../../lib/units.ts';

const stays = 'the certificate in force stays and goes on being served';

/** Error types of RFC 8555 §6.7 that somebody can do something about. */
const hints: Readonly<Record<string, string>> = {
  externalAccountRequired:
    'the authority wants an account of its own: certificates.acme.externalAccount in appliance.yaml',
  caa: 'a CAA record of the domain forbids this authority: change the record, or the authority',
  dns: 'the name service of the domain does not answer as it should',
  connection: 'the authority cannot reach this host: port 80 must be open from outside',
  rejectedIdentifier: 'this authority issues nothing for such a name',
  unsupportedIdentifier: 'this authority issues nothing for such a name',
  invalidContact: 'look at certificates.acme.email in appliance.yaml',
  userActionRequired: 'the authority asks for something that only a person can do, such as new terms of service',
  invalidProfile: 'look at certificates.acme.profile in appliance.yaml',
  badCSR: 'this authority wants another type of key: certificates.key.type in appliance.yaml',
};

/**
 * What an authority's failure means for people.
 * @param now milliseconds since 1970
 */
export function toldOf(error: AcmeError, now: number): ApplianceError {
  const { failure, message, retryAfter, type, cause } = error;
  if (failure === 'limited') {
    const until = retryAfter === undefined ? undefined : new Date(now + retryAfter).toISOString();
    return new ApplianceError('certificate_limited', message, {
      left: stays,
      hint:
        until === undefined
          ? 'try again later'
          : `it may be asked again at ${until} (in ${formatDuration(retryAfter ?? 0)})`,
      cause: error,
    });
  }
  if (failure === 'refused') {
    const hint = hints[type?.split(':').at(-1) ?? ''];
    return new ApplianceError('certificate_refused', message, { left: stays, hint, cause: error });
  }
  const hint =
    failure === 'not-acme'
      ? 'look at certificates.acme.directory in appliance.yaml: it must be the address of an ACME directory'
      : (certificateTrouble(cause) ?? 'look at the network of this host; the next attempt is made by itself');
  return new ApplianceError('authority_unreachable', message, { left: stays, hint, cause: error });
}

function certificateTrouble(cause: unknown): string | undefined {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  if (
    [
      'SELF_SIGNED_CERT_IN_CHAIN',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    ].includes(code)
  )
    return 'its certificate is signed by a root that is not known here: certificates.acme.root in appliance.yaml';
  if (['CERT_NOT_YET_VALID', 'CERT_HAS_EXPIRED'].includes(code)) return 'look at the clock of this host: date -u';
  return undefined;
}

/** @param until milliseconds since 1970 */
export function limited(why: string, until: number, now: number): ApplianceError {
  return new ApplianceError('certificate_limited', `no attempt is made: ${why}`, {
    left: stays,
    hint: `the next one is possible at ${new Date(until).toISOString()} (in ${formatDuration(Math.max(0, until - now))})`,
  });
}
