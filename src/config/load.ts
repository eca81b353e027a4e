import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureDirectory, readIfPresent, writeFileAtomic } from '../host/files.ts';
import { ApplianceError, messageOf, systemCode } from '../lib/errors.ts';
import { formatBytes } from '../lib/units.ts';
import { adviseOn } from './advice.ts';
import { crossCheck } from './cross-checks.ts';
import type { CrossIssue } from './cross-issue.ts';
import { configOutline } from './outline.ts';
import { parseText } from './parse.ts';
import type { ConfigProblem } from './problems.ts';
import { type Config, configSchema } from './schema.ts';

/** Largest configuration file, in bytes. */
const maxSize = 1024 * 1024;
/** Name of the copy of the last configuration that could be used. */
const lastGood = 'config.last-good.yaml';

export type ParsedConfig =
  | { readonly config: Config; readonly problems: readonly []; readonly warnings: readonly ConfigProblem[] }
  | { readonly config: null; readonly problems: readonly ConfigProblem[] };

/**
 * Reads the text of an appliance.yaml. Pure; finds all mistakes, not just the first.
 * @param more further mistakes that need more than the text to be seen
 */
export function parseConfig(text: string, more: (config: Config) => readonly CrossIssue[] = () => []): ParsedConfig {
  const parsed = parseText(text, {
    schema: configSchema,
    outline: configOutline,
    crossCheck: (config) => [...crossCheck(config), ...more(config)],
    advise: adviseOn,
  });
  if (parsed.value === null) return { config: null, problems: parsed.problems };
  return { config: parsed.value, problems: [], warnings: parsed.warnings };
}

/**
 * The text of a configuration file.
 * @throws ApplianceError `config_missing`, `not_permitted`, or `config_invalid` when it is no file of a sane size
 */
export async function readConfigText(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > maxSize) throw unreadable(path, `it is ${formatBytes(size)} long, which no configuration is`);
  } catch (error) {
    if (error instanceof ApplianceError) throw error;
    if (systemCode(error) !== 'ENOENT') throw unreadable(path, error);
  }
  let text: string | undefined;
  try {
    text = await readIfPresent(path);
  } catch (error) {
    throw unreadable(path, error);
  }
  if (text !== undefined) return text;
  throw new ApplianceError('config_missing', `there is no ${path}`, {
    left: 'nothing was touched',
    hint: 'write one for your Compose project: appliance init --from compose.yaml',
  });
}

function unreadable(path: string, error: unknown): ApplianceError {
  const left = 'nothing was touched';
  const code = systemCode(error);
  if (code === 'EACCES' || code === 'EPERM') {
    return new ApplianceError('not_permitted', `you may not read ${path}`, {
      left,
      hint: 'use sudo, or join the operators',
      cause: error,
    });
  }
  const why = typeof error === 'string' ? error : messageOf(error);
  return new ApplianceError('config_invalid', `${path} cannot be read: ${why}`, { left });
}

/** `/etc/appliance/appliance.yaml:12:5: services.backend.role: …`, as editors and terminals recognise it. */
export function problemText(file: string, { line, column, path, message }: ConfigProblem): string {
  const place = line === null ? file : `${file}:${line}:${column ?? 1}`;
  return `${place}: ${path === '' ? '' : `${path}: `}${message}`;
}

/**
 * Reads and checks appliance.yaml. Fails closed: a file with a mistake is never partly used, and no older copy steps in.
 * @throws ApplianceError `config_missing`, or `config_invalid` with file, line and column of every mistake
 */
export async function loadConfig(path: string): Promise<Config> {
  return configOf(path, parseConfig(await readConfigText(path)));
}

/** @throws ApplianceError `config_invalid` with file, line and column of every mistake */
export function configOf(path: string, { config, problems }: ParsedConfig): Config {
  if (config) return config;
  throw new ApplianceError('config_invalid', problems.map((problem) => problemText(path, problem)).join('\n'), {
    left: 'nothing was touched',
    hint: 'correct it, then look at it with: appliance config check',
  });
}

/**
 * Keeps a copy of a configuration that was loaded well, for a person to compare with or go back to. Nothing reads it by
 * itself.
 * @param lib directory of the appliance's state
 * @returns path of the copy
 */
export async function keepLastGood(configPath: string, lib: string): Promise<string> {
  const target = join(lib, lastGood);
  const text = await readConfigText(configPath);
  if ((await readIfPresent(target)) !== text) {
    await ensureDirectory(lib);
    await writeFileAtomic(target, text, 0o600);
  }
  return target;
}
