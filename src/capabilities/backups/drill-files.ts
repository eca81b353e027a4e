import { createHash } from 'node:crypto';
import { createReadStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import Sqlite from 'better-sqlite3';
import { z } from 'zod';
import { messageOf } from '../../lib/errors.ts';
import type { Finding } from '../../lib/verdict.ts';
import type { BackupComponent, BackupManifest } from './manifest.ts';
import { modelsIn } from './models.ts';
import { rowDifferences } from './rows.ts';

const otherSnapshot = 'choose another one: appliance backup list; prove the repository: appliance backup verify';

/** Whether each part of a snapshot is there, and each file has the bytes that were recorded. @param directory what became of `/snapshot` */
export async function partsFindings(
  manifest: BackupManifest,
  directory: string,
  signal: AbortSignal,
): Promise<Finding[]> {
  const findings: Finding[] = [];
  let hashed = 0;
  for (const { name, path, sha256 } of manifest.components) {
    if (path.startsWith('/')) continue;
    const file = join(directory, path);
    const fail = (observed: string) =>
      findings.push({ id: `drill-${name}`, verdict: 'fail', observed, expected: 'as recorded', hint: otherSnapshot });
    if (!existsSync(file)) fail(`${path} is not in the snapshot`);
    else if (sha256 !== null) {
      hashed += 1;
      const seen = await digestOf(file, signal);
      if (seen !== sha256) fail(`${path} has hash ${seen.slice(0, 12)}, recorded is ${sha256.slice(0, 12)}`);
    }
  }
  if (findings.length > 0) return findings;
  const observed = `${manifest.components.length} parts are there, ${hashed} files have their hashes`;
  return [{ id: 'drill-parts', verdict: 'pass', observed, samples: manifest.components.length }];
}

async function digestOf(file: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash, { signal });
  return hash.digest('hex');
}

/** Whether a SQLite database of a snapshot is whole, and holds the rows that were recorded. */
export function sqliteFinding(
  component: BackupComponent,
  directory: string,
  models: BackupManifest['models'],
): Finding {
  const id = `drill-${component.name}`;
  const file = join(directory, component.path);
  try {
    const database = new Sqlite(file, { readonly: true, fileMustExist: true });
    try {
      const verdict = database.pragma('integrity_check', { simple: true });
      if (verdict !== 'ok') return failed(id, `integrity_check says ${String(verdict).slice(0, 200)}`);
      const tables = tablesOf(database);
      const wrong = component.rows ? rowDifferences(component.rows, tables) : [];
      if (wrong.length > 0) return failed(id, wrong.slice(0, 5).join('; '));
      const known = component.name === 'registry' ? modelsIn(file).length : models.length;
      if (known !== models.length) return failed(id, `it knows ${known} models, the manifest ${models.length}`);
      const rows = Object.values(tables).reduce((sum, count) => sum + count, 0);
      const observed = `integrity_check is ok; ${Object.keys(tables).length} tables, ${rows} rows`;
      return { id, verdict: 'pass', observed, samples: rows };
    } finally {
      database.close();
    }
  } catch (error) {
    return failed(id, messageOf(error));
  }
}

function tablesOf(database: Sqlite.Database): Record<string, number> {
  const names = z
    .array(z.string())
    .parse(
      database
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        .pluck()
        .all(),
    );
  const count = (name: string): number =>
    z.number().parse(
      database
        .prepare(`SELECT count(*) FROM "${name.replaceAll('"', '""')}"`)
        .pluck()
        .get(),
    );
  return Object.fromEntries(names.map((name) => [name, count(name)]));
}

function failed(id: string, observed: string): Finding {
  return { id, verdict: 'fail', observed, expected: 'a whole database', hint: otherSnapshot };
}
