import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, mkdtemp, open, realpath, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { BundleCreated, BundleLoaded } from '../api/bundles.ts';
import type { Caller, Handlers } from '../api/handlers.ts';
import type { ParsedInput } from '../api/routes.ts';
import { type BundledImage, bundleFormat } from '../capabilities/bundles/format.ts';
import { type LoadDeps, load, planLoad } from '../capabilities/bundles/load.ts';
import { writeBundle } from '../capabilities/bundles/write.ts';
import { bundledImage, imageKey, plannedImages } from '../capabilities/stack/index.ts';
import { writeNewFile } from '../host/new-file.ts';
import { assertReachable, assertReadable } from '../host/readable.ts';
import { timestamp } from '../lib/clock.ts';
import { ApplianceError, asApplianceError, systemCode } from '../lib/errors.ts';
import { telling } from '../lib/telling.ts';
import { count } from '../lib/text.ts';
import type { Appliance } from './appliance.ts';
import { loadRelease } from './release-files.ts';
import { version } from './version.ts';

type Progress = (text: string) => void;

/** Answers what is asked about bundles: a release as one file, for hosts without internet. */
export function bundleHandlers(a: Appliance): Pick<Handlers, 'bundleCreate' | 'bundleLoad'> {
  const note = ({ actor }: Caller, action: string, tag: string, result: string) =>
    a.audit.append(timestamp(a.clock.now()), actor, action, tag, result);
  return {
    bundleCreate: async function* (input, caller) {
      const work = (signal: AbortSignal, progress: Progress) => create(a, input, caller.actor.uid, signal, progress);
      const bundle = yield* told(a, 'bundle create', input.wait, caller, work);
      note(caller, 'bundle create', bundle.tag, `to ${bundle.file}`);
      yield { event: 'created', bundle };
    },
    bundleLoad: async function* (input, caller) {
      const work = async (signal: AbortSignal, progress: Progress): Promise<BundleLoaded> => {
        const bundle = await loadFile(a, input, caller.actor.uid, signal, progress);
        if (bundle.loaded) note(caller, 'bundle load', bundle.tag, `commit ${bundle.commit} from ${bundle.file}`);
        return bundle;
      };
      yield { event: 'loaded', bundle: yield* told(a, 'bundle load', input.wait, caller, work) };
    },
  };
}

/** Takes a turn for work and tells how far it is. @returns what comes of it */
function told<T>(
  { operations }: Appliance,
  kind: string,
  wait: number,
  { actor, signal }: Caller,
  work: (signal: AbortSignal, progress: Progress) => Promise<T>,
): AsyncGenerator<{ event: 'progress'; text: string }, T> {
  return telling((tell) =>
    operations.alone(
      { kind, wait, actor },
      (inner) => work(inner, (text) => tell({ event: 'progress', text })),
      signal,
    ),
  );
}

async function create(
  a: Appliance,
  { tag: wanted, file: path }: ParsedInput<'bundleCreate'>,
  uid: number,
  signal: AbortSignal,
  progress: Progress,
): Promise<BundleCreated> {
  const { id, tag, commit } = a.store.find(wanted);
  const [images, { environment }, platform] = await Promise.all([
    imagesOf(a, id),
    a.store.manifest(id),
    a.engine.platform(),
  ]);
  const index = {
    format: bundleFormat,
    program: version,
    appliance: a.config.name,
    createdAt: timestamp(a.clock.now()),
    tag,
    commit,
    platform,
    environmentKeys: environment.keys,
    images,
  } as const;
  const { scratchDirectory, repository } = a.resolve;
  await mkdir(scratchDirectory, { recursive: true, mode: 0o700 });
  const scratch = await mkdtemp(join(scratchDirectory, 'bundle-'));
  try {
    const source = join(scratch, 'source');
    progress(`packing the source of ${tag}`);
    await repository.pack(tag, commit, source, signal);
    progress(`writing ${count(images.length, 'image')}`);
    const written = await writeNewFile({ path, uid }, (file) =>
      writeBundle(file, { engine: a.engine, index, source, progress, signal }),
    );
    return { file: path, tag, commit, platform, ...written, images: images.map(shapeOf) };
  } catch (error) {
    throw signal.aborted ? error : notCreated(error, path);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** The images that a release pins, each of which must be on this host. @throws ApplianceError `release_not_found` */
async function imagesOf(a: Appliance, id: string): Promise<BundledImage[]> {
  const { store, config, engine } = a;
  const { tag, commit } = store.get(id);
  const { project } = await loadRelease(store, id);
  const sealed = (await store.images(id)) ?? {};
  const images: BundledImage[] = [];
  for (const plan of plannedImages(config.name, id, project)) {
    const image = sealed[plan.services[0] ?? ''];
    if (!image || !(await engine.image(image.id)))
      throw new ApplianceError(
        'release_not_found',
        `the image of ${plan.services.join(', ')} of ${tag} is not on this host${image ? ' any more' : ': it was never deployed'}`,
        { left: 'nothing was written', hint: `deploy it first, which makes it: appliance deploy ${tag}` },
      );
    const key = imageKey({ tag, commit, directory: store.files(id).directory, project }, plan);
    images.push({ key, services: [...plan.services], ref: plan.ref, id: image.id, bytes: image.bytes });
  }
  return images;
}

function notCreated(thrown: unknown, path: string): ApplianceError {
  const error = asApplianceError(thrown);
  const full = error.code === 'disk_full';
  const unwritable = ['EROFS', 'EACCES', 'EPERM', 'EFBIG'].includes(systemCode(thrown) ?? '');
  if (!full && !unwritable) return error;
  return new ApplianceError(
    full ? 'disk_full' : 'not_permitted',
    full ? `there is no room for ${path}` : `${path} cannot be written: ${error.message}`,
    { left: 'no file is left', hint: 'write it elsewhere: --output FILE', cause: thrown },
  );
}

async function loadFile(
  a: Appliance,
  { file: named, plan: onlyPlan }: ParsedInput<'bundleLoad'>,
  uid: number,
  signal: AbortSignal,
  progress: Progress,
): Promise<BundleLoaded> {
  const { file, size } = await openBundle(named, uid);
  try {
    const deps = loadDeps(a, signal, progress);
    const plan = await planLoad(file, size, deps);
    if (!onlyPlan) await load(file, plan, deps).catch((error: unknown) => Promise.reject(cutShort(error, signal)));
    const { tag, commit, platform, createdAt, appliance, environmentKeys, images } = plan.index;
    const { values } = await a.resolve.readEnvironment();
    return {
      file: named,
      tag,
      commit,
      platform,
      bytes: plan.bytes,
      createdAt,
      appliance,
      images: images.map((image) => ({ ...shapeOf(image), there: !plan.missing.includes(image) })),
      missingEnvironment: environmentKeys.filter((key) => !(key in values)),
      loaded: !onlyPlan,
    };
  } finally {
    await file.close();
  }
}

function loadDeps({ engine, config, store, resolve }: Appliance, signal: AbortSignal, progress: Progress): LoadDeps {
  const { repository, scratchDirectory } = resolve;
  return {
    engine,
    repository,
    nameOf: (key) => bundledImage(config.name, key),
    commitsOf: async (tag) => {
      const mirrored = (await repository.tags()).includes(tag) ? await repository.commitOf(tag) : undefined;
      return [store.ofTag(tag)?.commit, mirrored, await repository.bundled(tag)].filter((one) => one !== undefined);
    },
    scratchDirectory,
    progress,
    signal,
  };
}

/** @throws ApplianceError `usage` where there is no such file, `not_permitted` for one that the caller may not read */
async function openBundle(named: string, uid: number): Promise<{ file: FileHandle; size: number }> {
  const reader = { uid, left: 'nothing was loaded' };
  try {
    const path = await realpath(named);
    const found = await lstat(path);
    if (!found.isFile()) throw noFile(`${named} is no file`);
    assertReadable(found, path, reader);
    await assertReachable(dirname(path), reader);
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
    return { file, size: found.size };
  } catch (error) {
    if (!['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES'].includes(systemCode(error) ?? '')) throw error;
    throw noFile(`${named} cannot be read: ${systemCode(error)}`);
  }
}

function noFile(problem: string): ApplianceError {
  return new ApplianceError('usage', problem, {
    left: 'nothing was loaded',
    hint: 'name the file that was made with: appliance bundle create TAG',
  });
}

/** What a load that did not come to its end leaves. */
function cutShort(thrown: unknown, signal: AbortSignal): ApplianceError {
  const error = asApplianceError(signal.aborted ? signal.reason : thrown);
  return new ApplianceError(error.code, error.message, {
    left:
      error.left ?? 'images that were loaded stay; the tag is not known, so nothing can be deployed from half of it',
    hint: error.hint ?? 'run it again: appliance bundle load FILE',
    cause: thrown,
  });
}

function shapeOf({ services, ref, id, bytes }: BundledImage): BundleCreated['images'][number] {
  return { services, ref, id, bytes };
}
