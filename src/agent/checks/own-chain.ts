import { join } from 'node:path';
import { covers } from '../../config/certificate-names.ts';
import { certificateSets } from '../../config/certificates.ts';
import { readIfPresent } from '../../host/files.ts';
import { certificateDirectory, currentLink } from '../../lib/certificates.ts';
import type { CheckParts } from './parts.ts';

/**
 * The chain that the edge has for a name, in PEM, so that checks believe it whoever has signed it: whether others do is
 * what the check of the certificate is about. As in the edge, a name that no certificate lists gets the first one.
 * @returns undefined before there is one
 */
export function ownChain(
  {
    config,
    paths,
  }: {
    readonly config: Pick<CheckParts['config'], 'edge' | 'certificates'>;
    readonly paths: Pick<CheckParts['paths'], 'edge'>;
  },
  domain: string,
): Promise<string | undefined> {
  const sets = certificateSets(config);
  const { name } = sets.find(({ domains }) => covers(domains, domain)) ?? sets[0];
  return readIfPresent(join(certificateDirectory(paths, name), currentLink, 'chain.pem'));
}
