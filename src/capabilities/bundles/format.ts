import { createHash } from 'node:crypto';
import { z } from 'zod';
import { ApplianceError, messageOf } from '../../lib/errors.ts';

// A bundle is one release for a host without internet: a POSIX tar file (ustar) with these entries in this order and no
// others:
//
//   source.gitbundle         the tag and its history, as `git bundle` writes it
//   images.tar               the images that the release pins, as `docker save` writes them, without names
//   appliance-bundle.json    what is in it, with size and hash of the two
//   appliance-bundle.sha256  the hash of that, as `sha256sum` writes it
//
// The index is last because nobody knows sizes and hashes before: a file that was cut off has none.

export const sourceName = 'source.gitbundle';
export const imagesName = 'images.tar';
export const indexName = 'appliance-bundle.json';
export const sumName = 'appliance-bundle.sha256';
/** Largest index that is read, in bytes. */
export const largestIndex = 2 ** 22;
/** What this program writes, and the newest that it reads. */
export const bundleFormat = 1;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const word = z.string().regex(/^[^\u0000-\u001f\u007f-\u009f]{0,300}$/);
const member = z.strictObject({ bytes: z.int().min(0), sha256 });

const imageSchema = z.strictObject({
  /** What it is found by: tag and hash of what it is made from. */
  key: z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/),
  services: z.array(word).min(1).max(1_000),
  /** Its name in the Compose file; empty for a build without one. */
  ref: word,
  id: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  /** Unpacked. */
  bytes: z.int().min(0),
});
export type BundledImage = z.output<typeof imageSchema>;

const indexSchema = z.strictObject({
  format: z.literal(bundleFormat),
  /** Version of the program that made it. */
  program: word,
  /** Appliance that it comes from, for people. */
  appliance: word,
  createdAt: word,
  tag: z.string().regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$/),
  commit: z.string().regex(/^[0-9a-f]{40,64}$/),
  /** `linux/amd64` */
  platform: word,
  /** Names of the variables that the release was made with; their values stay where they are. */
  environmentKeys: z.array(word).max(10_000),
  images: z.array(imageSchema).min(1).max(1_000),
  members: z.strictObject({ [sourceName]: member, [imagesName]: member }),
});
export type BundleIndex = z.output<typeof indexSchema>;

/** What stands in the last entry. */
export function sumOf(index: Buffer): Buffer {
  return Buffer.from(`${createHash('sha256').update(index).digest('hex')}  ${indexName}\n`);
}

/**
 * Reads an index.
 * @throws ApplianceError `bundle_newer` for one of a newer appliance, `bundle_invalid` for what is none
 */
export function parseIndex(data: Buffer): BundleIndex {
  let raw: unknown;
  try {
    raw = JSON.parse(data.toString('utf8'));
  } catch (error) {
    throw broken(`${indexName}: ${messageOf(error).slice(0, 200)}`);
  }
  const made = z.object({ format: z.int(), program: z.string().max(100).catch('?') }).safeParse(raw);
  if (made.success && made.data.format > bundleFormat) throw newer(made.data);
  const parsed = indexSchema.safeParse(raw);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw broken(`${indexName}: ${issue?.path.join('.')} ${issue?.message}`.slice(0, 300));
  }
  const { images, tag } = parsed.data;
  if (new Set(images.map(({ key }) => key)).size !== images.length) throw broken(`${indexName} names an image twice`);
  if (images.some(({ key }) => !key.startsWith(`${tag}.`) || key.length !== tag.length + 21))
    throw broken(`${indexName} names an image of another tag`);
  return parsed.data;
}

function newer({ format, program }: { format: number; program: string }): ApplianceError {
  return new ApplianceError(
    'bundle_newer',
    `the bundle was made by appliance ${program} in format ${format}; this one reads up to ${bundleFormat}`,
    { left: 'nothing was loaded', hint: 'bring a newer appliance to this host first' },
  );
}

/** What is wrong with an archive. */
export function broken(why: string): ApplianceError {
  return new ApplianceError('bundle_invalid', `the bundle is damaged, or was not made by appliance: ${why}`, {
    left: 'nothing was loaded',
    hint: 'copy it once more and compare: sha256sum FILE on both hosts; else make it again: appliance bundle create TAG',
  });
}
