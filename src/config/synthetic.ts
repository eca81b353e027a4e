import { z } from 'zod';
import { durationPattern, parseDuration } from '../lib/units.ts';

const duration = z.string().regex(durationPattern, 'write a duration such as 500ms or 5s').transform(parseDuration);

/** RFC 9110 §5.1 and §5.5: a name is a token, a value has no line ends. */
const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/, 'write the name of a header');
const headerValue = z
  .string()
  .regex(/^[\t\x20-\x7e]*$/, 'write plain ASCII on one line')
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is what people write
  .describe('a further header; ${KEY} is that key of source.envFile, so that no secret stands here');

const request = z.strictObject({
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']).default('GET').describe('its method'),
  path: z
    .string()
    .regex(/^\/[\x21-\x7e]*$/, 'write a path such as /api/items?page=1')
    .describe('path and query; the routes say which service it goes to'),
  headers: z.record(headerName, headerValue).default({}),
  body: z.string().max(65_536).optional().describe('text that is sent; JSON unless headers name another content-type'),
  status: z.int().min(100).max(599).default(200).describe('the status of a good answer; any other one is a failure'),
});
export type SyntheticRequest = z.output<typeof request>;

/** The section `synthetic:` of appliance.yaml. */
export const syntheticSchema = z
  .strictObject({
    rate: z.number().min(0.1).max(100).default(5).describe('most requests a second'),
    concurrency: z.int().min(1).max(32).default(2).describe('most requests that wait for an answer at a time'),
    timeout: duration
      .refine((value) => value >= 10, 'it must be 10ms or longer')
      .prefault('5s')
      .describe('how long an answer may take before it is a failure'),
    requests: z.array(request).min(1).max(50).describe('sent in turn; choose such that change nothing'),
  })
  .describe(
    'requests that appliance itself sends to a new release where users send too few for a verdict, if the policy allows it',
  );
export type SyntheticConfig = z.output<typeof syntheticSchema>;
