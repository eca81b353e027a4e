import { asApplianceError } from '../lib/errors.ts';
import { covers, normaliseNames } from './certificate-names.ts';
import { certificateSets } from './certificates.ts';
import type { Config } from './schema.ts';

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

/** Mistakes of `certificates:` that no authority need be asked about. Pure. */
export function certificateIssues(config: Config): Issue[] {
  const { certificates, edge } = config;
  if (!certificates) return [];
  const issues: Issue[] = [];
  const sets = certificateSets(config);
  const listed = certificates.sets !== undefined;
  const taken = new Map<string, string>();
  const seen = new Set<string>();
  sets.forEach(({ name, domains, issuer, challenge, profile }, index) => {
    const at = listed ? ['certificates', 'sets', index] : ['edge'];
    if (seen.has(name)) issues.push({ path: [...at, 'name'], message: `there are two certificates called ${name}` });
    seen.add(name);
    try {
      const asked = issuer === 'acme' ? challenge : undefined;
      for (const domain of normaliseNames(domains, { challenge: asked, addresses: profile !== undefined })) {
        const other = taken.get(domain);
        if (other !== undefined)
          issues.push({
            path: [...at, 'domains'],
            message: `${domain} is in ${other} already; a name has one certificate`,
          });
        taken.set(domain, name);
      }
    } catch (error) {
      const { message, hint } = asApplianceError(error);
      issues.push({ path: [...at, 'domains'], message: hint === undefined ? message : `${message}: ${hint}` });
    }
    if (issuer === 'acme' && challenge === 'dns-01' && certificates.acme.hook === undefined)
      issues.push({
        path: ['certificates', 'acme', 'hook'],
        message: 'dns-01 needs a program that adds and removes TXT records (docs/guide/certificates.md)',
      });
  });
  const names = [...taken.keys()];
  edge.domains.forEach((domain, index) => {
    const ascii = safely(domain);
    if (listed && ascii !== undefined && !covers(names, ascii))
      issues.push({
        path: ['edge', 'domains', index],
        message: `no certificate is for ${domain}: list it in certificates.sets`,
      });
  });
  return issues;
}

function safely(domain: string): string | undefined {
  try {
    return normaliseNames([domain], { challenge: undefined })[0];
  } catch {
    return undefined;
  }
}
