import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { type FileHandle, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Engine } from '../../host/docker.ts';
import type { SourceRepository } from '../../host/git.ts';
import { fileSystemUse } from '../../host/machine.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/units.ts';
import { type BundledImage, type BundleIndex, broken, imagesName } from './format.ts';
import { type Bundle, proveBundle, readBundle, streamOf } from './read.ts';

export interface LoadDeps {
  readonly engine: Pick<Engine, 'about' | 'platform' | 'image' | 'tagImage' | 'loadImages'>;
  readonly repository: Pick<SourceRepository, 'adopt'>;
  /** Our name on this host for an image that a bundle has brought. */
  readonly nameOf: (key: string) => string;
  /** Commits that a tag stands for on this host: of its release, of the copy of the repository, of another bundle. */
  readonly commitsOf: (tag: string) => Promise<readonly string[]>;
  /** Where the source is put before Git takes it over. */
  readonly scratchDirectory: string;
  readonly progress: (text: string) => void;
  readonly signal: AbortSignal;
}

/** What loading a bundle does. */
export interface LoadPlan {
  readonly index: BundleIndex;
  /** Of the file. */
  readonly bytes: number;
  /** Images that are not on this host yet. */
  readonly missing: readonly BundledImage[];
}

/**
 * Proves a bundle, and that this host can take it. Nothing is changed.
 * @throws ApplianceError `bundle_invalid`, `bundle_newer`, `moved_tag`, `disk_full`
 */
export async function planLoad(file: FileHandle, size: number, deps: LoadDeps): Promise<LoadPlan & { bundle: Bundle }> {
  const bundle = await readBundle(file, size);
  const { index } = bundle;
  await assertPlatform(index, deps);
  await assertSameTag(index, deps);
  const missing: BundledImage[] = [];
  for (const image of index.images) if (!(await deps.engine.image(image.id))) missing.push(image);
  await assertRoom(bundle, missing, deps);
  deps.progress(`proving ${formatBytes(size)}`);
  await proveBundle(file, bundle, deps.signal);
  return { index, bytes: size, missing, bundle };
}

/**
 * Loads what `planLoad` has proven. Images get their name when they are there and are what they must be, and the tag is known
 * at the very end, so that a load that is cut short is simply run again.
 * @throws ApplianceError `bundle_invalid`, `disk_full`, `git_failed`, `engine_unreachable`
 */
export async function load(
  file: FileHandle,
  { index, missing, bundle }: LoadPlan & { bundle: Bundle },
  deps: LoadDeps,
): Promise<void> {
  const { engine, progress, signal } = deps;
  if (missing.length > 0) await engine.loadImages(Readable.from(provenImages(file, bundle, deps)), signal);
  for (const { id, services } of index.images) if (!(await engine.image(id))) throw otherStore(id, services);
  for (const { id, key } of index.images) await engine.tagImage(id, deps.nameOf(key));
  progress(`taking over the source of ${index.tag}`);
  await mkdir(deps.scratchDirectory, { recursive: true, mode: 0o700 });
  const scratch = await mkdtemp(join(deps.scratchDirectory, 'bundle-'));
  try {
    const packed = join(scratch, 'source');
    await pipeline(streamOf(file, bundle.source), createWriteStream(packed, { mode: 0o600 }), { signal });
    await deps.repository.adopt(index.tag, index.commit, packed, signal);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The images as they were proven; whoever changes the file meanwhile has changed it in vain. */
async function* provenImages(
  file: FileHandle,
  { images, index }: Bundle,
  { progress, signal }: LoadDeps,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let done = 0;
  let told = 0;
  for await (const piece of streamOf(file, images) as AsyncIterable<Buffer>) {
    signal.throwIfAborted();
    hash.update(piece);
    done += piece.length;
    const percent = Math.floor((done / images.bytes) * 10) * 10;
    if (percent > told) progress(`the engine has ${percent} % of ${formatBytes(images.bytes)}`);
    told = percent;
    if (done === images.bytes && hash.digest('hex') !== index.members[imagesName].sha256)
      throw broken('it was changed while it was read');
    yield piece;
  }
}

async function assertPlatform({ platform }: BundleIndex, { engine }: LoadDeps): Promise<void> {
  const here = await engine.platform();
  if (here === platform) return;
  throw new ApplianceError('bundle_invalid', `the images are for ${platform}, this host runs ${here}`, {
    left: 'nothing was loaded',
    hint: `make the bundle on a host that runs ${here}`,
  });
}

async function assertSameTag({ tag, commit }: BundleIndex, { commitsOf }: LoadDeps): Promise<void> {
  const other = (await commitsOf(tag)).find((known) => known !== commit);
  if (other === undefined) return;
  throw new ApplianceError(
    'moved_tag',
    `tag ${tag} names commit ${commit.slice(0, 12)} in the bundle, but ${other.slice(0, 12)} on this host`,
    { left: 'nothing was loaded', hint: 'give the newer commit a tag of its own, and make a bundle of that' },
  );
}

/** The engine unpacks the archive beside the images that it makes of it. */
async function assertRoom({ images, source }: Bundle, missing: readonly BundledImage[], deps: LoadDeps): Promise<void> {
  const unpacked = new Map(missing.map(({ id, bytes }) => [id, bytes]));
  const loaded = [...unpacked.values()].reduce((sum, bytes) => sum + bytes, 0);
  const { DockerRootDir: root } = await deps.engine.about();
  if (missing.length > 0 && typeof root === 'string') await assertFree(root, loaded + images.bytes, 'images');
  await mkdir(deps.scratchDirectory, { recursive: true, mode: 0o700 });
  await assertFree(deps.scratchDirectory, 3 * source.bytes, 'source');
}

async function assertFree(directory: string, needed: number, what: string): Promise<void> {
  const { directory: seen, free } = await fileSystemUse(directory);
  // The engine may be another host's, whose directories are not here.
  if (seen !== directory || free >= needed) return;
  throw new ApplianceError(
    'disk_full',
    `the ${what} need up to ${formatBytes(needed)} below ${directory}; ${formatBytes(free)} are free`,
    { left: 'nothing was loaded', hint: 'free some space (appliance releases prune), then load it again' },
  );
}

/** Docker has two kinds of image stores, which count the same image under two ids. */
function otherStore(id: string, services: readonly string[]): ApplianceError {
  return new ApplianceError(
    'bundle_invalid',
    `the engine of this host does not know the image of ${services.join(', ')} by its id ${id.slice(0, 19)} after loading it`,
    {
      left: 'the tag is not known; images without a name may be left: docker image prune',
      hint: 'the two engines keep images differently: use the same storage (docker info, Storage Driver) on both hosts',
    },
  );
}
