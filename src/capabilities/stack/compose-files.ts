import { realpath, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { type Document, LineCounter, parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { explodingAlias, explosionText } from '../../config/expansion.ts';
import { readIfPresent } from '../../host/files.ts';
import { ApplianceError, messageOf, systemCode } from '../../lib/errors.ts';
import { formatBytes } from '../../lib/units.ts';

/** Largest Compose file, in bytes; as for appliance.yaml. */
const maxSize = 1024 * 1024;
/** Most files that a project may consist of. */
const maxFiles = 100;

const texts = z.union([z.string(), z.array(z.string())]).transform((one) => [one].flat());
const reference = z.union([texts, z.looseObject({ path: texts }).transform(({ path }) => path)]);
const modelSchema = z.looseObject({
  include: z.unknown().optional(),
  services: z.record(z.string(), z.unknown()).nullish().catch(null),
});
const extended = z.looseObject({ extends: z.looseObject({ file: z.string() }) }).transform((one) => one.extends.file);

/**
 * Refuses Compose files that would make Compose use up the host: exploding aliases, endless files. What these files
 * include and extend is looked at too, as far as it stands there in plain text; for the rest there are the limits under
 * which Compose runs.
 * @param checkout directory with the files of the release
 * @param files relative to it
 * @throws ApplianceError `compose_invalid` with file, line and column
 */
export async function checkComposeFiles(checkout: string, files: readonly string[], tag: string): Promise<void> {
  const waiting = files.map((file) => join(checkout, file));
  const seen = new Set<string>();
  for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
    if (seen.has(path)) continue;
    seen.add(path);
    if (seen.size > maxFiles) throw refused(`the Compose project consists of more than ${maxFiles} files`);
    const name = relative(checkout, path);
    const text = await readFile(path, name);
    if (text === undefined && seen.size <= files.length) throw missingFile(name, tag);
    if (text !== undefined) waiting.push(...checked(text, name).map((other) => resolve(dirname(path ?? ''), other)));
  }
}

/** @returns undefined when there is no such file: Compose itself tells best what it looked for */
async function readFile(path: string, name: string): Promise<string | undefined> {
  try {
    const found = await stat(await realpath(path));
    if (!found.isFile()) throw refused(`${name} is no regular file`);
    if (found.size > maxSize) throw refused(`${name} is ${formatBytes(found.size)} long, which no Compose file is`);
    return await readIfPresent(path);
  } catch (error) {
    if (error instanceof ApplianceError) throw error;
    if (['ENOENT', 'ENOTDIR', 'ELOOP'].includes(systemCode(error) ?? '')) return undefined;
    throw refused(`${name} cannot be read: ${messageOf(error)}`);
  }
}

/** @returns the files that a file includes and extends, relative to it @throws ApplianceError `compose_invalid` */
function checked(text: string, name: string): string[] {
  const lines = new LineCounter();
  // What is no YAML, Compose refuses itself. Looking for keys that stand twice takes the square of their number.
  const options = { lineCounter: lines, prettyErrors: false, uniqueKeys: false, logLevel: 'silent' } as const;
  const documents: Document[] = [parseAllDocuments(text, options)].flat();
  return documents.flatMap((document) => {
    const alias = explodingAlias(document);
    if (alias) {
      const { line, col } = lines.linePos(alias.range?.[0] ?? 0);
      throw refused(`${name}:${line}:${col}: ${explosionText}`);
    }
    return referencesOf(document);
  });
}

function referencesOf(document: Document): string[] {
  const model = modelSchema.safeParse(contentOf(document));
  if (!model.success) return [];
  const { include, services } = model.data;
  const included = [include ?? []].flat().flatMap((entry) => reference.safeParse(entry).data ?? []);
  const extending = Object.values(services ?? {}).flatMap((service) => extended.safeParse(service).data ?? []);
  return [...included, ...extending].filter(
    (path) => !path.includes('$') && (isAbsolute(path) || !path.includes('://')),
  );
}

/** What a document says; undefined when it is broken in a way that Compose tells best, such as an alias of nothing. */
function contentOf(document: Document): unknown {
  if (document.errors.length > 0) return undefined;
  try {
    return document.toJS({ maxAliasCount: -1 });
  } catch {
    return undefined;
  }
}

function missingFile(file: string, tag: string): ApplianceError {
  return new ApplianceError('compose_invalid', `release ${tag} has no ${file}`, {
    left: 'nothing was touched',
    hint: 'name the Compose files in source.compose, relative to the root of the repository',
  });
}

function refused(message: string): ApplianceError {
  return new ApplianceError('compose_invalid', message, {
    left: 'nothing was touched',
    hint: 'correct the file in the repository and give it a new tag',
  });
}
