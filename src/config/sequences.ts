import { z } from 'zod';
import { durationPattern, parseDuration } from '../lib/units.ts';

const duration = z
  .string()
  .regex(durationPattern, 'write a duration such as 500ms or 10s')
  .transform(parseDuration)
  .refine((value) => value >= 10 && value <= 600_000, 'it must be from 10ms to 10m');
const id = z.string().regex(/^[A-Za-z][\w.-]{0,40}$/, 'use letters, digits, dots and dashes, starting with a letter');
const variable = z.string().regex(/^[A-Za-z_]\w{0,60}$/, 'write the name of a variable');
const status = z.int().min(100).max(599);
const scalar = z.union([z.string(), z.number(), z.boolean(), z.null()]);

const assertion = z.strictObject({
  at: z
    .string()
    .max(200)
    .describe('where in the JSON answer: `status`, `predictions.0.confidence`; `*` stands for every element'),
  exists: z.literal(true).optional().describe('it is there and not null'),
  equals: scalar.optional().describe('it is this value'),
  oneOf: z.array(scalar).min(1).optional().describe('it is one of these'),
  matches: z.string().max(200).optional().describe('a JavaScript regular expression'),
  between: z.array(z.number()).length(2).optional().describe('a number from the one to the other'),
  atLeast: z.number().optional().describe('a number, this or more'),
  above: z.number().optional().describe('a number above this'),
  length: z.int().min(0).optional().describe('elements of a list, or characters of a text'),
});
export type JsonAssertion = z.output<typeof assertion>;

const step = z.strictObject({
  name: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,40}$/, 'use lower-case letters, digits and dashes')
    .describe('name of the step, once per sequence'),
  ids: z.array(id).default([]).describe('demands that it answers'),
  about: z.string().max(120).optional().describe('for people; default: method and path'),
  method: z.enum(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']).default('GET').describe('its method'),
  path: z
    .string()
    .regex(/^\/[\x21-\x7e]*$/, 'write a path such as /api/items?page=1')
    // biome-ignore lint/suspicious/noTemplateCurlyInString: this is what people write
    .describe('path and query; ${NAME} is a captured variable, or a key of the environment of the release'),
  https: z.boolean().default(false).describe('through the edge: over TLS, its certificate verified'),
  service: z
    .string()
    .optional()
    .describe(
      'a service that is asked straight, for what the edge does not show; left out where requests go through it',
    ),
  headers: z
    .record(
      z.string().regex(/^[\w!#$%&'*+.^`|~-]+$/, 'write the name of a header'),
      z.string().max(4_096).describe('a header; variables as in the path'),
    )
    .default({}),
  json: z.unknown().optional().describe('body, sent as JSON'),
  fill: z
    .strictObject({
      key: variable.describe('a key of the body that gets a list'),
      values: z.array(scalar).min(1).describe('values of the list, taken in turn'),
      count: z.int().min(1).max(100_000).describe('how many'),
    })
    .optional()
    .describe('a key of the body that gets so many values, taken in turn: batches of any size'),
  timeout: duration.prefault('10s').describe('how long an answer may take'),
  expect: z
    .strictObject({
      status: z
        .union([status.transform((one) => [one]), z.array(status).min(1)])
        .prefault(200)
        .describe('the status of a good answer, or a list'),
      within: duration.optional().describe('the answer must be whole after so long'),
      contentType: z.string().optional().describe('how the content-type must begin'),
      contains: z.string().max(500).optional().describe('text that the answer must hold'),
      headers: z.record(z.string(), z.string().describe('a JavaScript regular expression')).default({}),
      json: z.array(assertion).default([]),
    })
    .prefault({}),
  capture: z.record(variable, z.string().describe('where in the JSON answer it is')).default({}),
});
export type SequenceStep = z.output<typeof step>;

/** Requests that follow each other, with what their answers must be. */
export const sequenceSchema = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z][a-z0-9-]{0,40}$/, 'use lower-case letters, digits and dashes')
      .describe('name of the sequence'),
    title: z.string().max(120).optional().describe('for people'),
    steps: z.array(step).min(1).max(100),
  })
  .superRefine(({ steps }, context) => {
    const seen = new Set<string>();
    for (const [index, { name, expect }] of steps.entries()) {
      if (seen.has(name))
        context.addIssue({ code: 'custom', path: ['steps', index, 'name'], message: `there are two steps ${name}` });
      seen.add(name);
      const patterns = [...Object.values(expect.headers), ...expect.json.flatMap(({ matches }) => matches ?? [])];
      for (const pattern of patterns)
        if (!isPattern(pattern))
          context.addIssue({
            code: 'custom',
            path: ['steps', index, 'expect'],
            message: `${pattern} is no regular expression`,
          });
    }
  });
export type Sequence = z.output<typeof sequenceSchema>;

function isPattern(text: string): boolean {
  try {
    new RegExp(text);
    return true;
  } catch {
    return false;
  }
}
