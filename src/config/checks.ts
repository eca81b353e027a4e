import { z } from 'zod';
import { sequenceSchema } from './sequences.ts';

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
    sequences: z.array(sequenceSchema).default([]).describe('your own sequences of requests'),
  })
  .describe('what is looked at before and after a deploy, besides what a policy asks for');
