import { z } from 'zod';
import { messageOf } from '../../lib/errors.ts';
import { readTarHeader, type TarEntry, tarHeader } from '../../lib/tar.ts';
import { invalid } from './survey.ts';

// An archive of one version is a POSIX tar file (ustar) with these entries in this order and no others:
//
//   appliance-model.json   what is in it, with the hash of every file, and the public key
//   appliance-model.sig    Ed25519 signature of the bytes of appliance-model.json, base64
//   files/…                the files, in the order of appliance-model.json
//
// `tar -tf` lists it, `tar -xf` unpacks it; `models import` unpacks nothing before all of it is proven.

export const indexName = 'appliance-model.json';
export const signatureName = 'appliance-model.sig';
export const filesPrefix = 'files/';
/** Largest index that is read, in bytes. */
export const largestIndex = 2 ** 22;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
const plain = /^[^\u0000-\u001f\u007f\\]{1,500}$/;
/** A path below a directory: no way out of it, nothing hidden from a terminal. */
const relativePath = z
  .string()
  .refine(
    (path) => plain.test(path) && path.split('/').every((part) => !['', '.', '..'].includes(part)),
    'it must be a path below the directory',
  );

export const indexSchema = z.strictObject({
  format: z.literal(1),
  name: z.string(),
  version: z.string(),
  artefacts: z
    .array(
      z.strictObject({
        path: relativePath,
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
        bytes: z.int().min(0),
      }),
    )
    .min(1)
    .max(10_000),
  exportedAt: z.string(),
  /** Appliance that it comes from, for people. */
  exportedBy: z.string(),
  /** SPKI in DER, base64. */
  publicKey: z.string().max(200),
});
export type ArchiveIndex = z.output<typeof indexSchema>;

/**
 * The header of an entry.
 * @throws ApplianceError `model_invalid` for a path that ustar cannot hold
 */
export function header(path: string, bytes: number): Buffer {
  const data = tarHeader(path, bytes);
  if (data) return data;
  throw invalid(`${path} is too long a path for an archive`);
}

/** @throws ApplianceError `model_invalid` for anything but a whole header of a plain file */
export function readHeader(data: Buffer): { readonly path: string; readonly bytes: number } {
  const { path, bytes, kind } = entryOf(data);
  if (kind !== '0') throw broken(`${JSON.stringify(path)} is no plain file`);
  return { path, bytes };
}

function entryOf(data: Buffer): TarEntry {
  try {
    return readTarHeader(data);
  } catch (error) {
    throw broken(messageOf(error));
  }
}

export function broken(why: string): Error {
  return invalid(`the archive is damaged or was made by somebody else: ${why}`);
}
