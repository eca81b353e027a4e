import { z } from 'zod';

// What an authority answers (RFC 8555, RFC 9773), as far as it is read.

const url = z.url();
export const directorySchema = z.object({
  newNonce: url,
  newAccount: url,
  newOrder: url,
  renewalInfo: url.optional(),
  meta: z
    .object({
      termsOfService: z.string().optional(),
      externalAccountRequired: z.boolean().optional(),
      profiles: z.record(z.string(), z.string()).optional(),
      caaIdentities: z.array(z.string()).optional(),
    })
    .default({}),
});
export type AcmeDirectory = z.output<typeof directorySchema>;

export const problemSchema = z.object({
  type: z.string().optional(),
  detail: z.string().optional(),
  subproblems: z
    .array(z.object({ detail: z.string().optional(), identifier: z.object({ value: z.string() }).optional() }))
    .optional(),
});

export const windowSchema = z.object({
  suggestedWindow: z.object({ start: z.iso.datetime({ offset: true }), end: z.iso.datetime({ offset: true }) }),
});

export const orderSchema = z.object({
  url: z.string(),
  status: z.enum(['pending', 'ready', 'processing', 'valid', 'invalid']),
  finalize: z.string(),
  authorizations: z.array(z.string()),
  identifiers: z.array(z.object({ type: z.string(), value: z.string() })),
  certificate: z.string().optional(),
  error: z.unknown().optional(),
});
export type AcmeOrder = z.output<typeof orderSchema>;

export const challengeSchema = z.object({
  type: z.string(),
  url: z.string(),
  status: z.string(),
  token: z
    .string()
    .regex(/^[A-Za-z0-9_-]+$/, 'a token is base64url (RFC 8555 §8.3)')
    .default(''),
  error: z.unknown().optional(),
});
export const authorizationSchema = z.object({
  url: z.string(),
  status: z.enum(['pending', 'valid', 'invalid', 'deactivated', 'expired', 'revoked']),
  identifier: z.object({ type: z.string(), value: z.string() }),
  wildcard: z.boolean().default(false),
  challenges: z.array(z.unknown()),
});
export type AcmeChallenge = z.output<typeof challengeSchema>;
export type AcmeAuthorization = Omit<z.output<typeof authorizationSchema>, 'challenges'> & {
  readonly challenges: readonly AcmeChallenge[];
};

/** An authority's reason in one line, that of each name included. */
export function describeProblem(data: unknown): string | undefined {
  const { success, data: problem } = problemSchema.safeParse(data);
  if (!success || (problem.detail === undefined && problem.type === undefined)) return undefined;
  const inner = (problem.subproblems ?? []).map(
    ({ identifier, detail }) => `${identifier?.value ?? '?'}: ${detail ?? '?'}`,
  );
  return [problem.detail ?? problem.type, ...inner].join('; ').replace(/\s+/g, ' ').slice(0, 600);
}
