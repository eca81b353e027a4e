import { access, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { composeHands } from '../host/compose.ts';
import { ensureDirectory, readIfPresent, writeFileAtomic } from '../host/files.ts';
import { run } from '../host/process.ts';
import { ApplianceError, asApplianceError, messageOf, systemCode } from '../lib/errors.ts';
import { pathsFor } from '../lib/paths.ts';
import { count } from '../lib/text.ts';
import { readSecret, secretOf } from './alert-secrets.ts';
import { effective } from './effective.ts';
import { type ConfigDraft, initFrom } from './init.ts';
import { parseConfig, problemText, readConfigText } from './load.ts';
import { configJsonSchema } from './outline.ts';
import { checkPolicy, listPolicies, loadPolicy, type PolicyPlace } from './policy-load.ts';
import type { ConfigProblem } from './problems.ts';
import type { Config } from './schema.ts';
import { loadConfigUnderPolicy, parseUnderPolicy } from './under-policy.ts';
import { unwatchedOf } from './unwatched.ts';

/** What the command line does with configuration files by itself, without agent or engine. */
export const localTools = {
  checkConfig: async (options: {
    readonly root: string | undefined;
    readonly file: string | undefined;
  }): Promise<{
    readonly file: string;
    readonly problems: readonly ConfigProblem[];
    readonly warnings: readonly ConfigProblem[];
  }> => {
    const file = options.file ?? pathsFor(options.root).config;
    const { parsed } = await parseUnderPolicy(file, await readConfigText(file));
    if (!parsed.config) return { file, problems: parsed.problems, warnings: [] };
    const { config, warnings } = parsed;
    const beside = [unwatchedWarnings(config, file), secretWarnings(config), policyWarnings(file)];
    return { file, problems: [], warnings: [...warnings, ...(await Promise.all(beside)).flat()] };
  },
  showConfig: async (options: { readonly root: string | undefined }) =>
    effective(await loadConfigUnderPolicy(pathsFor(options.root).config)),
  configSchema: async () => configJsonSchema(),
  listPolicies: async (options: { readonly root: string | undefined }) =>
    Promise.all((await listPolicies(pathsFor(options.root).config)).map(policySummary)),
  draftConfig: async (options: { readonly compose: string }): Promise<ConfigDraft> => {
    const file = await composeFileAt(resolve(options.compose));
    const directory = dirname(file);
    const name =
      basename(directory)
        .toLowerCase()
        .replaceAll(/[^a-z0-9_-]/g, '') || 'appliance';
    const envFile = join(directory, '.env');
    const call = { projectName: name.replace(/^[^a-z0-9]+/, '') || 'appliance', directory, files: [file] };
    const model = await composeHands.resolve(call).catch((error: unknown) => {
      throw withVariableHint(error, envFile);
    });
    const repository = await repositoryOf(directory);
    const draft = initFrom(model, {
      repository,
      compose: [relative(repository, file)],
      envFile: (await exists(envFile)) ? envFile : undefined,
    });
    const { problems } = parseConfig(draft.text);
    if (problems.length === 0) return draft;
    throw new ApplianceError('internal', problems.map((problem) => problemText('draft', problem)).join('\n'));
  },
  writeConfig: async (options: {
    readonly root: string | undefined;
    readonly text: string;
    readonly force: boolean;
  }): Promise<string> => {
    const { config } = pathsFor(options.root);
    if (!options.force && (await exists(config))) {
      throw new ApplianceError('usage', `there is a ${config} already`, {
        left: 'it was left as it is',
        hint: 'appliance init --force replaces it',
      });
    }
    try {
      await ensureDirectory(dirname(config));
      await writeFileAtomic(config, options.text, 0o644);
    } catch (error) {
      throw isRefusal(error) ? notPermitted(`write ${config}`, error) : error;
    }
    return config;
  },
};

/** Receivers of alerts whose secrets cannot be used as they lie there: notifications would go nowhere. */
async function secretWarnings({ alerts }: Config): Promise<ConfigProblem[]> {
  const found = await Promise.all(
    Object.entries(alerts?.receivers ?? {}).map(async ([name, receiver]) => {
      const file = secretOf(receiver);
      const error =
        file === undefined ? undefined : await readSecret(file, name).then(() => undefined, asApplianceError);
      return error && warning(`alerts.receivers.${name}`, `${error.message}${error.hint ? ` (${error.hint})` : ''}`);
    }),
  );
  return found.filter((problem) => problem !== undefined);
}

/** Own policies that nobody could deploy with. */
async function policyWarnings(file: string): Promise<ConfigProblem[]> {
  const own = (await listPolicies(file)).filter((place) => place.own);
  const found = await Promise.all(own.map(async (place) => ({ place, problems: (await checkPolicy(place)).problems })));
  return found.flatMap(({ place, problems: [first, ...others] }) => {
    if (!first) return [];
    const more = others.length > 0 ? `, and ${count(others.length, 'more mistake')} (appliance config policies)` : '';
    return [warning('', `${problemText(place.path, first)}${more}`)];
  });
}

function warning(path: string, message: string): ConfigProblem {
  return { line: null, column: null, path, message };
}

/** Alerts that can never fire on this appliance, and policies that cannot be used. */
async function unwatchedWarnings({ monitoring, deploy }: Config, file: string): Promise<ConfigProblem[]> {
  if (!monitoring) return [];
  const path = monitoring.policies === undefined ? 'deploy.policy' : 'monitoring.policies';
  const names = monitoring.policies ?? (deploy.policy === undefined ? [] : [deploy.policy]);
  const warnings = await Promise.all(
    [...new Set(names)].map(async (name) => {
      try {
        const unwatched = unwatchedOf([(await loadPolicy(name, file)).policy], monitoring);
        return unwatched.map((alert) =>
          warning(path, `${alert.name} (${name}, ${alert.id}) is never raised: ${alert.why}`),
        );
      } catch (error) {
        return [warning(path, messageOf(error))];
      }
    }),
  );
  return warnings.flat();
}

async function policySummary(place: PolicyPlace) {
  const { value, problems } = await checkPolicy(place);
  return {
    ...place,
    title: value?.title ?? null,
    stages: (value?.canary?.stages ?? []).map((stage) => ({ weight: stage.weight, seconds: stage.for / 1_000 })),
    bakeSeconds: (value?.bake?.for ?? 0) / 1_000,
    byHand: (value?.byHand ?? []).map(({ id, text }) => ({ id, text })),
    problems,
  };
}

/** Names that Compose looks for in a directory, in its order. */
const composeNames = ['compose.yaml', 'compose.yml', 'docker-compose.yml', 'docker-compose.yaml'];

/**
 * The Compose file that a path means: itself, or the one in the directory.
 * @throws ApplianceError `compose_invalid`, `not_permitted`; `usage` for a directory without one
 */
async function composeFileAt(path: string): Promise<string> {
  try {
    if (!(await stat(path)).isDirectory()) {
      await readIfPresent(path);
      return path;
    }
    for (const name of composeNames) {
      const file = join(path, name);
      if ((await readIfPresent(file)) !== undefined) return file;
    }
  } catch (error) {
    if (isRefusal(error)) throw notPermitted(`read ${path}`, error);
    if (!['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) throw error;
    throw new ApplianceError('compose_invalid', `there is no ${path}`, {
      left: 'nothing was written',
      hint: 'name the Compose file: appliance init --from path/to/compose.yaml',
      cause: error,
    });
  }
  throw new ApplianceError('usage', `there is no Compose file in ${path}: no ${composeNames.join(', no ')}`, {
    left: 'nothing was written',
    hint: 'name the Compose file, or its directory: appliance init --from path/to/compose.yaml',
  });
}

/** Says where a value goes that the Compose file asks for with `${NAME:?}`; other errors stay as they are. */
function withVariableHint(error: unknown, envFile: string): unknown {
  if (!(error instanceof ApplianceError) || error.hint !== undefined) return error;
  const name = /required variable (\S+) is missing a value/.exec(error.message)?.[1];
  if (name === undefined) return error;
  return new ApplianceError(error.code, error.message, {
    left: error.left ?? 'nothing was written',
    hint: `put ${name}=… into ${envFile} and run init again; source.envFile in appliance.yaml may name another file later`,
    cause: error,
  });
}

function isRefusal(error: unknown): boolean {
  return ['EACCES', 'EPERM'].includes(systemCode(error) ?? '');
}

function notPermitted(what: string, cause: unknown): ApplianceError {
  return new ApplianceError('not_permitted', `you may not ${what}`, {
    left: 'nothing was written',
    hint: 'use sudo, or ask whoever owns it',
    cause,
  });
}

/** Root of the Git repository that holds a directory; the directory itself when there is none. */
async function repositoryOf(directory: string): Promise<string> {
  const { exitCode, stdout } = await run('git', ['rev-parse', '--show-toplevel'], { cwd: directory, timeout: 10_000 });
  return exitCode === 0 ? stdout.trim() : directory;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
