import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { z } from 'zod';
import { systemCode } from '../../lib/errors.ts';
import type { BackupManifest } from './manifest.ts';

const versionSchema = z.object({ name: z.string(), version: z.string(), sha256: z.string(), bytes: z.number() });

/**
 * Every version that the copy of a registry knows, with the digest of its manifest.
 * @param registry path of the copy, not of the live database
 */
export function modelsIn(registry: string): BackupManifest['models'] {
  const database = new Sqlite(registry, { readonly: true, fileMustExist: true });
  try {
    const tables = database
      .prepare(`SELECT count(*) FROM sqlite_master WHERE name IN ('models', 'versions')`)
      .pluck()
      .get();
    if (tables !== 2) return [];
    return z
      .array(versionSchema)
      .parse(
        database
          .prepare(
            'SELECT m.name, v.version, v.sha256, v.bytes FROM versions AS v JOIN models AS m ON m.id = v.model ORDER BY v.id',
          )
          .all(),
      );
  } finally {
    database.close();
  }
}

/**
 * Registered versions whose directory is not what was registered, by their manifests (S1-44).
 * @param directory the models directory
 */
export async function damagedModels(directory: string, models: BackupManifest['models']): Promise<string[]> {
  const damaged: string[] = [];
  for (const { name, version, sha256 } of models) {
    const found = await digestOf(join(directory, 'versions', name, version, 'manifest.json'));
    if (found !== sha256) damaged.push(`${name}@${version}`);
  }
  return damaged;
}

async function digestOf(path: string): Promise<string | undefined> {
  try {
    return createHash('sha256')
      .update(await readFile(path))
      .digest('hex');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return undefined;
    throw error;
  }
}
