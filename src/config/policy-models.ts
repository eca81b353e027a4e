import { z } from 'zod';
import { modelGatesSchema } from './model-gates.ts';

const id = z.string().regex(/^[A-Za-z][\w.-]{0,40}$/, 'use letters, digits, dots and dashes, starting with a letter');

/** What a policy asks of a version of a model before it is registered. */
export const policyModelsSchema = z.strictObject({
  files: z
    .array(
      z.strictObject({
        id: id.describe('demand that the files come from'),
        names: z
          .array(z.string().min(1))
          .default([])
          .describe('names, or patterns such as `*.{joblib,onnx}` of which one file must be there'),
        atLeast: z.int().min(0).default(0).describe('least number of files, the manifest among them'),
      }),
    )
    .default([])
    .describe('files that a version must have'),
  metadata: z
    .array(
      z.strictObject({
        id: id.describe('demand that it comes from'),
        has: z
          .enum(['features', 'libraries', 'metrics', 'checksums'])
          .describe('checksums: the manifest names the hash of every file'),
      }),
    )
    .default([])
    .describe('what a version must say of itself'),
  gates: modelGatesSchema,
});
