import { z } from 'zod';
import { routeSchema } from '../../lib/routes.ts';

/**
 * A release as one immutable unit (DESIGN §1.1). The manifest never changes once its directory exists; what the builder
 * adds later, the image digests, is sealed beside it.
 */
export const manifestSchema = z.object({
  format: z.literal(1),
  /** `<tag>-<first 10 hex digits of the content hash>`. */
  id: z.string(),
  tag: z.string(),
  commit: z.string(),
  /** RFC 3339. */
  createdAt: z.string(),
  /** Schema that the release migrates to, and the oldest release schema that can still read it. */
  schema: z.object({ version: z.number().int(), readableFrom: z.number().int() }).nullable(),
  services: z.array(
    z.object({ name: z.string(), role: z.string(), replicas: z.number().int(), image: z.string(), built: z.boolean() }),
  ),
  /** Which requests go to which service; absent where the release was made before releases held them. */
  routes: z.array(routeSchema).optional(),
  environment: z.object({ keys: z.array(z.string()), sha256: z.string() }),
  /** Content of everything that Compose's own hash ignores: configs, secrets, mounted files (docker/compose#13045). */
  files: z.record(z.string(), z.string()),
  /** sha256 of the resolved Compose model. */
  model: z.string(),
});
export type Manifest = z.output<typeof manifestSchema>;

/** What the builder found out: service → image. */
export const sealedImagesSchema = z.record(
  z.string(),
  z.object({ ref: z.string(), id: z.string(), bytes: z.number() }),
);
export type SealedImages = z.output<typeof sealedImagesSchema>;
