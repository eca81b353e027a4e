import { z } from 'zod';
import { durationPattern, parseDuration } from '../lib/units.ts';

/** Printable ASCII without what would end the value (RFC 9110 §5.5). */
const headerValue = z.string().regex(/^[\x20-\x7e]+$/, 'use printable ASCII characters on one line');

/** RFC 6797. Never sent over plain HTTP (§7.2). */
const hsts = z
  .strictObject({
    maxAge: z
      .string()
      .regex(durationPattern, 'write a duration such as 365d; 0s takes it back')
      .transform(parseDuration)
      .prefault('365d')
      .describe('how long browsers ask by HTTPS alone; 0s takes an earlier one back'),
    includeSubDomains: z.boolean().default(false).describe('also for every name below'),
    preload: z.boolean().default(false).describe('agree to the lists that browsers come with'),
  })
  .prefault({});

const contentPolicy = z
  .strictObject({
    mode: z
      .enum(['report-only', 'enforce', 'off'])
      .default('report-only')
      .describe('report-only: browsers tell what they would refuse; enforce: they refuse it'),
    policy: headerValue
      .default(
        "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; form-action 'self'",
      )
      .describe('value of Content-Security-Policy; frame-ancestors follows from frame where it is left out'),
    report: z
      .string()
      .regex(/^\/[\x21-\x7e]*$/, 'write a path')
      .optional()
      .describe('path of the application that takes reports'),
  })
  .prefault({});

/** Headers that the edge adds to every answer (S1-18). */
export const edgeHeadersSchema = z
  .strictObject({
    hsts,
    contentPolicy,
    frame: z
      .enum(['SAMEORIGIN', 'DENY', 'off'])
      .default('SAMEORIGIN')
      .describe('who may show the pages in a frame (X-Frame-Options)'),
    referrer: z
      .enum([
        'no-referrer',
        'same-origin',
        'strict-origin',
        'strict-origin-when-cross-origin',
        'origin',
        'origin-when-cross-origin',
        'no-referrer-when-downgrade',
      ])
      .default('strict-origin-when-cross-origin')
      .describe('what links tell of the page that they are on (Referrer-Policy)'),
    permissions: headerValue
      .default('camera=(), geolocation=(), microphone=()')
      .describe('devices and functions of a browser that pages may use (Permissions-Policy)'),
  })
  .prefault({});
export type EdgeHeaders = z.output<typeof edgeHeadersSchema>;

/** Which other origins may read answers (S1-10). The application decides; the edge takes back what is not listed here. */
export const corsSchema = z
  .strictObject({
    origins: z
      .array(
        z.string().regex(/^(?:\*|https?:\/\/[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d{1,5})?)$/, {
          message: 'write an origin such as https://app.example.org in lower case, without a path; or * for all',
        }),
      )
      .describe('origins that may read answers'),
    credentials: z.boolean().default(false).describe('whether their requests may carry cookies'),
  })
  .describe('origins whose pages may read answers; left out: what the application says stands');
export type Cors = z.output<typeof corsSchema>;
