import { z } from 'zod';

// The JSON shapes of `appliance bundle`. Times are RFC 3339 in UTC, sizes bytes.

const imageSchema = z.object({
  services: z.array(z.string()),
  /** Its name in the Compose file; empty for a build without one. */
  ref: z.string(),
  id: z.string(),
  /** Unpacked. */
  bytes: z.number(),
});

const bundleCreatedSchema = z.object({
  file: z.string(),
  tag: z.string(),
  commit: z.string(),
  platform: z.string(),
  /** Of the file. */
  bytes: z.number(),
  /** Of the file, as `sha256sum` prints it. */
  sha256: z.string(),
  images: z.array(imageSchema),
});
export type BundleCreated = z.output<typeof bundleCreatedSchema>;

const bundleLoadedSchema = z.object({
  file: z.string(),
  tag: z.string(),
  commit: z.string(),
  platform: z.string(),
  bytes: z.number(),
  createdAt: z.string(),
  /** Appliance that it comes from. */
  appliance: z.string(),
  images: z.array(imageSchema.extend({ /** Whether it was on this host before. */ there: z.boolean() })),
  /** Variables that the release was made with and that are not set on this host. */
  missingEnvironment: z.array(z.string()),
  /** False for a plan. */
  loaded: z.boolean(),
});
export type BundleLoaded = z.output<typeof bundleLoadedSchema>;

/** How far it is; the last document is what came of it. */
export const bundleCreateEventSchema = z.discriminatedUnion('event', [
  z.object({ event: z.literal('progress'), text: z.string() }),
  z.object({ event: z.literal('created'), bundle: bundleCreatedSchema }),
]);
export const bundleLoadEventSchema = z.discriminatedUnion('event', [
  z.object({ event: z.literal('progress'), text: z.string() }),
  z.object({ event: z.literal('loaded'), bundle: bundleLoadedSchema }),
]);

const file = z.string().startsWith('/').max(4_000);
const wait = z.number().min(0).default(0);
export const bundleInputs = {
  create: z.object({ tag: z.string().max(200), file, wait }),
  load: z.object({
    file,
    /** Everything is proven and nothing is loaded. */
    plan: z.boolean().default(false),
    wait,
  }),
};
