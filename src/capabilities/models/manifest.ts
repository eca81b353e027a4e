import { createHash } from 'node:crypto';
import { z } from 'zod';
import { ApplianceError, messageOf } from '../../lib/errors.ts';

/** Largest manifest that is read, in bytes: it names files, it does not hold them. */
export const largestManifest = 2 ** 20;
export const manifestName = 'manifest.json';

/** Plain names of files in the same directory: nothing else can be named, least of all a way out of it. */
const fileName = z.string().regex(/^(?!\.)[^/\\\0]{1,255}$/, 'it must be the name of a file beside the manifest');

const manifestSchema = z.looseObject({
  name: z.string().min(1).max(200),
  version: z.string().min(1).max(200),
  created_at: z.string().optional(),
  features: z.array(z.string()).optional(),
  libraries: z.record(z.string(), z.string()).optional(),
  files: z.record(
    fileName,
    z.looseObject({
      sha256: z.string().regex(/^[0-9a-f]{64}$/, 'it must be 64 hexadecimal digits'),
      bytes: z.int().min(0).optional(),
    }),
  ),
});
/** What a model directory says about itself; keys that are not known here are kept. */
export type Manifest = z.output<typeof manifestSchema>;

/** By this a running process says which model it has loaded. @returns SHA-256 of the bytes, hexadecimal */
export function manifestDigest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/**
 * Reads the bytes of a manifest.
 * @throws ApplianceError `model_invalid` for anything but one JSON object of the known shape without repeated keys: of
 *   two equal keys one program believes the first and another the last
 */
export function parseManifest(bytes: Buffer): Manifest {
  if (bytes.length > largestManifest) throw invalid(`it is larger than ${largestManifest} bytes`);
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    const value: unknown = JSON.parse(text);
    const twice = repeatedKey(text);
    if (twice !== undefined) throw new SyntaxError(`the key ${twice} stands in it twice`);
    return manifestSchema.parse(value);
  } catch (error) {
    throw invalid(error instanceof z.ZodError ? z.prettifyError(error).replaceAll('\n', ' ') : messageOf(error));
  }
}

function invalid(why: string): ApplianceError {
  return new ApplianceError('model_invalid', `${manifestName} cannot be used: ${why}`, {
    left: 'the model before it stays in force',
    hint: 'write it anew as a whole: a temporary file beside it, then a rename',
  });
}

/** @param text valid JSON @returns the first key that an object has twice */
function repeatedKey(text: string): string | undefined {
  const open: (Set<string> | null)[] = [];
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"(?:\s*:)?|[[\]{}]/gs)) {
    if (token === '{') open.push(new Set());
    else if (token === '[') open.push(null);
    else if (token === '}' || token === ']') open.pop();
    else if (token.endsWith(':')) {
      const key = token.slice(0, -1).trimEnd();
      const name: string = JSON.parse(key);
      const keys = open.at(-1);
      if (keys?.has(name)) return key;
      keys?.add(name);
    }
  }
  return undefined;
}
