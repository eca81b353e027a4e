import { z } from 'zod';
import { durationPattern, parseDuration } from '../lib/units.ts';
import { sequenceSchema } from './sequences.ts';

const duration = z.string().regex(durationPattern, 'write a duration such as 30s or 5m').transform(parseDuration);

/** The section `checks:` of appliance.yaml. */
export const checksSchema = z
  .strictObject({
    refuse: z
      .array(z.string().regex(/^[a-z][a-z0-9.-]*$/, 'write the id of a check such as preflight.cpu, or a group'))
      .default([])
      .describe('checks, or groups of them, that keep every deploy from beginning when they fail'),
    smoke: z
      .array(z.string().regex(/^[a-z][a-z0-9-]{0,40}$/, 'write the name of a sequence'))
      .default([])
      .describe(
        'sequences that a release must pass before it gets traffic, and once more through the edge: names of sequences, or of a policy that brings one along',
      ),
    load: z
      .string()
      .regex(/^\/[\x21-\x7e]*$/, 'write a path such as /health')
      .optional()
      .describe('path that load is sent to; left out: the one that the release is proven by'),
    commands: z
      .array(
        z.strictObject({
          name: z
            .string()
            .regex(/^[a-z][a-z0-9-]{0,40}$/, 'use lower-case letters, digits and dashes')
            .describe('its name'),
          run: z.array(z.string()).min(1).describe('program and arguments; no shell. Exit status 0 is a pass'),
          group: z
            .enum(['preflight', 'config', 'smoke', 'load', 'security', 'post-deploy'])
            .default('preflight')
            .describe('the checklist that it belongs to'),
          ids: z.array(z.string()).default([]).describe('demands that it answers'),
          timeout: duration.prefault('5m').describe('how long it may take'),
        }),
      )
      .default([])
      .describe('your own checks: test suites and the like, run in the repository'),
    sequences: z.array(sequenceSchema).default([]).describe('your own sequences of requests'),
  })
  .describe('what is looked at before and after a deploy, besides what a policy asks for');
