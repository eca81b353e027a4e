import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { durationPattern, parseDuration } from '../lib/units.ts';

const duration = z.string().regex(durationPattern, 'write a duration such as 30s or 5m').transform(parseDuration);
const file = z.string().refine(isAbsolute, 'write an absolute path');
const https = z.string().regex(/^https:\/\/[^\s]+$/, 'write an address that begins with https://');
const setName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,40}$/, 'use lower-case letters, digits and dashes')
  // The edge keeps its own stand-in under that name.
  .refine((name) => name !== 'self-signed', 'choose another name: the edge has one of that name itself');

const profileName = z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, 'write the name of a profile, for example shortlived');

const issuers = ['acme', 'imported', 'self-signed'] as const;
type Issuer = (typeof issuers)[number];
const challengeTypes = ['http-01', 'dns-01'] as const;
export type ChallengeType = (typeof challengeTypes)[number];

const letsEncrypt = 'https://acme-v02.api.letsencrypt.org/directory';
const letsEncryptStaging = 'https://acme-staging-v02.api.letsencrypt.org/directory';

const acme = z
  .strictObject({
    directory: https.default(letsEncrypt).describe('directory of the authority; an internal one works the same way'),
    staging: https
      .optional()
      .describe('directory that is tried first after a failure; Let’s Encrypt has one that is known'),
    root: file.optional().describe('PEM file with the root that an internal authority’s own HTTPS is checked against'),
    email: z.email().optional().describe('where the authority may write to'),
    profile: profileName.optional().describe('profile of the authority, for example shortlived'),
    challenge: z.enum(challengeTypes).default('http-01').describe('how control over the names is proven'),
    hook: file.optional().describe('dns-01: program that adds and removes TXT records'),
    hookTimeout: duration.prefault('2m').describe('dns-01: how long the program may take, until the record is seen'),
    externalAccount: z
      .strictObject({
        keyId: z.string().min(1).describe('key identifier that the authority gave'),
        hmacFile: file.describe('file (mode 0600) with its HMAC key in base64url'),
      })
      .optional()
      .describe('External Account Binding (RFC 8555 §7.3.4), where the authority asks for it'),
    chain: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe('common name of an issuer; of several chains that the authority offers, the one with it is taken'),
    patience: duration.prefault('3m').describe('how long one attempt may take'),
    certificatesPerWeek: z
      .int()
      .min(0)
      .default(5)
      .describe('certificates of the same names within 7 days; 0: the authority has no such limit'),
    failuresPerHour: z
      .int()
      .min(0)
      .default(5)
      .describe('failed validations of a name within an hour; 0: the authority has no such limit'),
    port: z
      .int()
      .min(1)
      .max(65_535)
      .default(80)
      .describe('http-01: port where the authority looks; other than 80 only where an internal one does'),
    preflight: z.boolean().default(true).describe('look at DNS, CAA and port 80 before an attempt is spent'),
  })
  .prefault({});

const key = z
  .strictObject({
    type: z.enum(['ec-p256', 'ec-p384', 'rsa-2048', 'rsa-4096']).default('ec-p256').describe('type of private keys'),
    pin: z.boolean().default(false).describe('keep the private key at a renewal, for clients that pin it'),
  })
  .prefault({});

const set = z.strictObject({
  name: setName.describe('what the certificate is called here'),
  domains: z.array(z.string().min(1)).min(1).describe('names of edge.domains that it is for'),
  issuer: z.enum(issuers).optional().describe('default: certificates.issuer'),
  challenge: z.enum(challengeTypes).optional().describe('default: certificates.acme.challenge'),
  profile: profileName.optional().describe('default: certificates.acme.profile'),
});

/** The section `certificates:` of appliance.yaml (S1-29, S1-49). */
export const certificatesSchema = z
  .strictObject({
    issuer: z
      .enum(issuers)
      .default('acme')
      .describe('acme: an authority renews them; imported: somebody brings files; self-signed'),
    acme,
    key,
    sets: z.array(set).optional().describe('one certificate each; left out: one, `edge`, for all edge.domains'),
  })
  .describe('certificates of the edge; left out: one that is self-signed');
export type CertificatesConfig = z.output<typeof certificatesSchema>;
export type AcmeConfig = CertificatesConfig['acme'];
export type KeyType = CertificatesConfig['key']['type'];

/** One certificate as appliance.yaml wants it. */
export interface CertificateSet {
  readonly name: string;
  readonly domains: readonly string[];
  readonly issuer: Issuer;
  readonly challenge: ChallengeType;
  readonly profile: string | undefined;
}

interface Wanting {
  readonly certificates?: CertificatesConfig | undefined;
  readonly edge: { readonly domains: readonly string[] };
}

/** Which certificates there are to be. Names of `edge.domains` that no set lists get the first set's. */
export function certificateSets({ certificates, edge }: Wanting): readonly [CertificateSet, ...CertificateSet[]] {
  const common = {
    issuer: certificates?.issuer ?? 'self-signed',
    challenge: certificates?.acme.challenge ?? 'http-01',
    profile: certificates?.acme.profile,
  } as const;
  const whole: CertificateSet = { name: 'edge', domains: edge.domains, ...common };
  const [first, ...rest] = (certificates?.sets ?? []).map(({ name, domains, issuer, challenge, profile }) => ({
    name,
    domains,
    issuer: issuer ?? common.issuer,
    challenge: challenge ?? common.challenge,
    profile: profile ?? common.profile,
  }));
  return first ? [first, ...rest] : [whole];
}

/** Where an attempt is tried first after a failure; undefined where nobody has named one. */
export function stagingOf({ directory, staging }: Pick<AcmeConfig, 'directory' | 'staging'>): string | undefined {
  return staging ?? (directory === letsEncrypt ? letsEncryptStaging : undefined);
}

/** What is in force where appliance.yaml has no section `certificates`. */
export const certificateDefaults: CertificatesConfig = certificatesSchema.parse({ issuer: 'self-signed' });
