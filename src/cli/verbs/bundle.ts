import { resolve } from 'node:path';
import type { BundleCreated, BundleLoaded } from '../../api/bundles.ts';
import { ApplianceError, asApplianceError, exitCodes } from '../../lib/errors.ts';
import { count } from '../../lib/text.ts';
import { formatBytes } from '../../lib/units.ts';
import type { Call } from '../catalog.ts';
import { mark, speak } from '../output/look.ts';
import type { Session } from '../session.ts';
import { waitOf } from './operate.ts';

export async function create(call: Call<'bundle create'>, session: Session): Promise<number> {
  const { tag } = call.args;
  const { output, wait } = call.options;
  const file = resolve(output ?? `${tag.replaceAll('/', '_')}.bundle.tar`);
  const events = (await session.client()).stream('bundleCreate', { tag, file, wait: waitOf(wait) }, session.signal);
  let made: BundleCreated | undefined;
  for await (const event of ended(events, session, 'no file is left')) {
    if (event.event === 'created') made = event.bundle;
    else session.note(event.text);
  }
  const bundle = whole(made, 'no file is left');
  session.answer(bundle, () => createdLines(bundle, session));
  return exitCodes.done;
}

export async function load(call: Call<'bundle load'>, session: Session): Promise<number> {
  const { plan, wait } = call.options;
  const left = 'the tag is not known here unless all of it was loaded; run it again';
  const input = { file: resolve(call.args.file), plan, wait: waitOf(wait) };
  let seen: BundleLoaded | undefined;
  for await (const event of ended(
    (await session.client()).stream('bundleLoad', input, session.signal),
    session,
    left,
  )) {
    if (event.event === 'loaded') seen = event.bundle;
    else session.note(event.text);
  }
  const bundle = whole(seen, left);
  session.answer(bundle, () => loadedLines(bundle, session));
  return exitCodes.done;
}

/** The events, and an error that says what is left when the caller let go. */
async function* ended<Event>(events: AsyncIterable<Event>, { signal }: Session, left: string): AsyncGenerator<Event> {
  const interrupted = (): ApplianceError => {
    const { code, message, hint } = asApplianceError(signal.reason);
    return new ApplianceError(code, message, { left, hint });
  };
  try {
    yield* events;
  } catch (error) {
    throw signal.aborted ? interrupted() : error;
  }
  if (signal.aborted) throw interrupted();
}

function whole<T>(found: T | undefined, left: string): T {
  if (found !== undefined) return found;
  throw new ApplianceError('agent_unreachable', 'the agent ended before the bundle did', {
    left,
    hint: 'run the command again',
  });
}

function createdLines(
  { file, tag, commit, bytes, sha256, images, platform }: BundleCreated,
  session: Session,
): string[] {
  return [
    `${mark(session.out, 'pass')} ${tag} is in ${file}: ${formatBytes(bytes)}, ${count(images.length, 'image')} for ${platform}, commit ${commit.slice(0, 12)}`,
    `  sha256 ${sha256}`,
    '  no environment, no secrets, no data and no appliance.yaml are in it: the other host has its own',
    speak(session.out, `  → there: appliance bundle load FILE, then appliance deploy ${tag}`),
  ];
}

function loadedLines(bundle: BundleLoaded, session: Session): string[] {
  const { tag, commit, appliance, createdAt, bytes, images, missingEnvironment, loaded, file } = bundle;
  const there = images.filter((image) => image.there).length;
  return [
    `${mark(session.out, 'pass')} ${tag} ${loaded ? 'is loaded' : 'can be loaded; nothing was changed'}: commit ${commit.slice(0, 12)}, ${formatBytes(bytes)}, made ${createdAt} by ${appliance}`,
    ...images.map(
      (image) =>
        `  ${image.services.join(', ')}  ${image.id.slice(0, 19)}  ${formatBytes(image.bytes)}${image.there ? ', was here' : ''}`,
    ),
    ...(there === images.length ? ['  every image was here before'] : []),
    ...(missingEnvironment.length === 0
      ? []
      : [
          `  ${mark(session.out, 'inconclusive')} not set in the environment of this host, and set where it was made: ${missingEnvironment.join(', ')}`,
        ]),
    speak(session.out, `  → ${loaded ? `appliance deploy ${tag}` : `appliance bundle load ${file}`}`),
  ];
}
