import { lstat, readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ConfigHands } from '../../capabilities/checks/config/index.ts';
import { scanForLeaks } from '../../capabilities/checks/config/leak-scan.ts';
import type { ModelEntry } from '../../capabilities/checks/config/model-directory.ts';
import { parseEnvironment } from '../../config/environment.ts';
import { readIfPresent } from '../../host/files.ts';
import { systemCode } from '../../lib/errors.ts';
import { type CheckParts, once } from './parts.ts';
import type { repositoryHands } from './source-hands.ts';

/** Entries of a models directory that are looked at. */
const mostEntries = 5_000;

/** @param tag release whose files count as current; undefined: the latest commit */
export function configHands(
  { config, upkeep, clock, modelDirectory }: CheckParts,
  repository: ReturnType<typeof repositoryHands>,
  tag: string | undefined,
): ConfigHands {
  const { source, alerts } = config;
  const { envFile } = source;
  return {
    envFile,
    uid: process.getuid?.() ?? 0,
    // Whatever its mode: that is the matter of a check of its own.
    environment: once(async () => {
      if (envFile === undefined) return {};
      const text = await readIfPresent(envFile);
      if (text === undefined) throw new Error(`there is no environment file ${envFile}`);
      return parseEnvironment(text, envFile).values;
    }),
    example: async (signal) => {
      const file = join(dirname(source.compose[0] ?? 'compose.yaml'), '.env.example');
      const text = await repository.git(['show', `${revision(tag)}:${file.replace(/^\.\//, '')}`], signal);
      return parseEnvironment(text, file).values;
    },
    stat: async (path) => {
      try {
        const { mode, uid } = await stat(path);
        return { mode, uid };
      } catch (error) {
        if (systemCode(error) === 'ENOENT') return undefined;
        throw error;
      }
    },
    besideEnvFile: async () => (envFile === undefined ? [] : readdir(dirname(envFile))),
    secretFiles: async () =>
      Object.values(alerts?.receivers ?? {}).flatMap(({ urlFile, keyFile, passwordFile }) =>
        [urlFile, keyFile, passwordFile].filter((path) => path !== undefined),
      ),
    ages: async () => {
      const { secrets, problems } = await upkeep.look();
      if (secrets.size === 0 && problems[0]) throw problems[0];
      return secrets;
    },
    committed: repository.committed,
    scan: once(async (signal) => scanForLeaks(await repository.directory(), revision(tag), signal)),
    models: async () => (modelDirectory === undefined ? undefined : entriesOf(modelDirectory)),
    now: () => clock.now(),
  };
}

const revision = (tag: string | undefined): string => (tag === undefined ? 'HEAD' : `refs/tags/${tag}`);

async function entriesOf(directory: string): Promise<ModelEntry[]> {
  const entries: ModelEntry[] = [];
  const visit = async (path: string): Promise<void> => {
    if (entries.length >= mostEntries) return;
    const found = await lstat(join(directory, path)).catch(() => undefined);
    if (!found || found.isSymbolicLink()) return;
    entries.push({ path, directory: found.isDirectory(), mode: found.mode, uid: found.uid });
    if (!found.isDirectory()) return;
    for (const name of await readdir(join(directory, path))) await visit(join(path, name));
  };
  await visit('.');
  return entries;
}
