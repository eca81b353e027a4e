import type { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { z } from 'zod';
import { ApplianceError, asApplianceError, messageOf } from '../lib/errors.ts';
import { guard } from './docker-failures.ts';

/** What the engine runs programs of, in the words of Go: `linux/amd64`. */
export async function platformOf(docker: Docker): Promise<string> {
  const about = z.object({ Os: z.string(), Arch: z.string() });
  const { Os, Arch } = about.parse(await guard('version', () => docker.version()));
  return `${Os}/${Arch}`;
}

/** One line of what the engine tells while it loads. */
const toldSchema = z.object({ error: z.string().optional() });

/**
 * Loads an archive of images.
 * @throws ApplianceError `disk_full`; `bundle_invalid` with what the engine says against the archive; what the stream throws
 */
export async function loadImages(docker: Docker, archive: Readable, signal: AbortSignal): Promise<void> {
  const broken = new AbortController();
  archive.once('error', (error) => broken.abort(error));
  const abortSignal = AbortSignal.any([signal, broken.signal]);
  try {
    const answer = await guard('load images', () => docker.loadImage(archive, { quiet: true, abortSignal }));
    let text = '';
    for await (const piece of answer) text = (text + String(piece)).slice(-65_536);
    for (const line of text.split('\n')) {
      const told = toldSchema.safeParse(asJson(line));
      if (told.success && told.data.error !== undefined) throw refused(told.data.error);
    }
  } catch (error) {
    // Why it was aborted says more than that it was.
    abortSignal.throwIfAborted();
    throw refusedBy(error);
  } finally {
    archive.destroy();
  }
  abortSignal.throwIfAborted();
}

function asJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** An engine that refuses the whole archive answers with a status instead. */
function refusedBy(error: unknown): unknown {
  return error instanceof ApplianceError ? error : refused(messageOf(error));
}

function refused(why: string): ApplianceError {
  const error = asApplianceError(new Error(why));
  if (error.code === 'disk_full') return error;
  return new ApplianceError('bundle_invalid', `the Docker Engine does not load the images: ${why.slice(0, 300)}`);
}
