import { z } from 'zod';
import { bytesPattern, durationPattern, parseBytes, parseDuration } from '../lib/units.ts';
import { asciiDomain } from './certificate-names.ts';
import { corsSchema, edgeHeadersSchema } from './edge-headers.ts';

const duration = z
  .string()
  .regex(durationPattern, 'write a duration such as 500ms, 30s, 5m, 2h or 7d')
  .transform(parseDuration)
  .refine((ms) => ms >= 1_000, 'it must be 1s or longer');
const bytes = z.string().regex(bytesPattern, 'write a size such as 8KiB').transform(parseBytes);
/** `127.0.0.1:8080` or `8080` (all addresses). */
const listen = z
  .string()
  .regex(/^(?:[0-9.]+:|\[[0-9a-fA-F:]+\]:)?\d{1,5}$/, 'write ADDRESS:PORT, for example 127.0.0.1:8080');

const pathLimit = z.strictObject({
  path: z.string().startsWith('/').describe('prefix of the request path'),
  perSecond: z.int().min(1).optional().describe('requests per second that each address may send there'),
  perMinute: z.int().min(1).optional().describe('the same for less than one a second, such as tries to log in'),
  burst: z.int().min(0).default(0).describe('how many more may come at once'),
});
export type PathLimit = z.output<typeof pathLimit>;

/** How the edge speaks TLS (S1-17, S4-4). */
const tls = z
  .strictObject({
    minVersion: z
      .enum(['1.2', '1.3'])
      .optional()
      .describe('oldest version that is spoken; left out: what deploy.policy asks for (mlops: 1.3), else 1.2'),
  })
  .prefault({});

/** What one client may take up. nginx adds up the time of a request header, and counts anew with each piece of a body. */
const limits = z
  .strictObject({
    headerTimeout: duration.prefault('15s').describe('how long the header of a request may take to arrive as a whole'),
    bodyTimeout: duration.prefault('30s').describe('longest pause within the body of a request'),
    sendTimeout: duration.prefault('60s').describe('longest pause of a client that is to take an answer'),
    idleTimeout: duration.prefault('75s').describe('how long a connection stays open without a request'),
    headerLine: bytes.prefault('8KiB').describe('longest line of a request header; four such lines fit'),
    requestsPerConnection: z
      .int()
      .min(100)
      .default(100_000)
      .describe('requests after which a connection is closed; each such end may cost a client that does not retry'),
    requestsPerAddress: z
      .int()
      .min(1)
      .optional()
      .describe('requests that each address may have under way at the same time, beyond which the edge answers 429'),
  })
  .prefault({});

/** The section `edge:` of appliance.yaml: where it listens, whom it answers, and what it grants them. */
export const edgeSchema = z
  .strictObject({
    http: listen.default('127.0.0.1:8080').describe('where the edge listens for HTTP'),
    https: listen.default('127.0.0.1:8443').describe('where the edge listens for HTTPS'),
    domains: z
      .array(z.string().min(1).overwrite(asciiDomain))
      .default(['localhost'])
      .describe('host names that the edge answers to'),
    redirect: z
      .enum(['auto', 'always', 'never'])
      .default('auto')
      .describe('lead HTTP to HTTPS (308); auto: where a certificate of appliance.yaml is not self-signed'),
    internal: z
      .array(z.string().min(1))
      .default(['127.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'])
      .describe('addresses that may see previews and metrics'),
    image: z.string().min(1).default('appliance/edge:1').describe('image of the edge: nginx with njs'),
    tls,
    headers: edgeHeadersSchema,
    cors: corsSchema.optional(),
    limits,
    rateLimit: z
      .strictObject({
        perSecond: z.int().min(1).describe('requests per second that each address may send'),
        burst: z.int().min(0).describe('how many more may come at once'),
      })
      .optional()
      .describe('requests per second and address beyond which the edge answers 429'),
    rateLimits: z.array(pathLimit).default([]).describe('tighter limits for some paths'),
  })
  .prefault({});
