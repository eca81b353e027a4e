import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import type { BuiltImages } from '../../src/capabilities/stack/index.ts';
import {
  coreModel,
  createStackSteps,
  freezeProject,
  resolveProject,
  type StackDeps,
  type StackRelease,
  type Subnets,
} from '../../src/capabilities/stack/index.ts';
import { type Config, configSchema } from '../../src/config/schema.ts';
import { composeHands } from '../../src/host/compose.ts';
import { Engine } from '../../src/host/docker.ts';
import { ensureDirectory } from '../../src/host/files.ts';
import { run } from '../../src/host/process.ts';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import type { Colour } from '../../src/lib/colour.ts';
import type { StepContext } from '../../src/operations/step.ts';
import { removeTraces } from '../support/traces.ts';

export const app = join(import.meta.dirname, 'stack-app');

/** Runs docker and gives back what it printed; fails with what it said. */
export async function docker(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await run('docker', args, { timeout: 120_000 });
  if (exitCode !== 0) throw new Error(`docker ${args.join(' ')}: ${stderr}`);
  return stdout.trim();
}

function configFor(name: string, changes: Record<string, unknown> = {}): Config {
  const text = `
    source: { repository: /nowhere }
    services:
      backend: { role: app, probe: { type: http, port: 8000, path: /health } }
      migrate: { role: migrate }
      prepare: { role: job }
      store: { role: core }
    routes: [{ path: /, service: backend, port: 8000 }]
    edge: { http: "127.0.0.1:19480", https: "127.0.0.1:19481", image: "stacktest/edge:1" }
    network: { pool: 10.215.0.0/16 }
  `;
  return configSchema.parse({ name, ...parse(text), ...changes });
}

/** Everything the steps of a stack need, on the real engine, under a name and a directory of its own. */
export async function openStack(name: string, subnets: Subnets) {
  await removeTraces(name);
  const root = await mkdtemp(join(tmpdir(), 'stacktest-'));
  const config = configFor(name);
  const engine = new Engine();
  const releases = new Map<string, StackRelease>();
  const migrated: string[] = [];
  const state: { live: { release: string; colour: Colour } | null } = { live: null };
  await ensureDirectory(join(root, 'edge'));
  await ensureDirectory(join(root, 'log'));
  const release = async (id: string): Promise<StackRelease> => {
    const found = releases.get(id);
    if (!found) throw new Error(`no release ${id}`);
    return found;
  };
  const deps: StackDeps = {
    name,
    compose: composeHands,
    engine,
    modelDirectory: join(root, 'compose'),
    timeouts: { build: 120_000, migrate: 120_000, core: 120_000, health: 120_000 },
    release,
    migrated: ({ id }) => void migrated.push(id),
    sealImages: async (id, images: BuiltImages) => {
      const imageIds = Object.fromEntries(Object.entries(images).map(([service, image]) => [service, image.id]));
      releases.set(id, { ...(await release(id)), imageIds });
    },
    core: async (id) =>
      coreModel({
        config,
        project: id === null ? null : (await release(id)).project,
        imageIds: { ...(id === null ? {} : (await release(id)).imageIds), edge: await edgeImage() },
        subnets,
        edgeDirectory: join(root, 'edge'),
        edgeLogDirectory: join(root, 'log'),
      }),
    subnets: async () => subnets,
    live: () => state.live,
  };
  /** Makes a release of the test application. @param environment variables of its Compose file */
  const addRelease = async (
    tag: string,
    environment: Readonly<Record<string, string>> = {},
    edit?: (checkout: string) => Promise<void>,
    moreServices: Config['services'] = {},
  ): Promise<string> => {
    const checkout = join(root, 'source', tag);
    await cp(app, checkout, { recursive: true });
    await edit?.(checkout);
    const envText = Object.entries({ KEY: 'the-secret-key', ...environment })
      .map(([key, value]) => `${key}=${value}\n`)
      .join('');
    const composeResolve = composeHands.resolve;
    const project = await resolveProject({
      config: { ...config, services: { ...config.services, ...moreServices } },
      checkout,
      tag,
      envText,
      composeResolve,
    });
    const directory = join(root, 'releases', tag);
    const persistentDirectory = join(root, 'persistent');
    const frozen = await freezeProject({ config, project, checkout, directory, persistentDirectory });
    const id = `${tag}-0123456789`;
    releases.set(id, { id, tag, project: frozen, imageIds: {}, secrets: ['the-secret-key'] });
    return id;
  };
  const close = async () => {
    await removeTraces(name);
    await run('docker', ['image', 'rm', 'stacktest/edge:1'], { timeout: 60_000 });
    await rm(root, { recursive: true, force: true });
  };
  return {
    name,
    root,
    config,
    engine,
    deps,
    releases,
    migrated,
    state,
    steps: createStackSteps(deps),
    addRelease,
    close,
  };
}
export type TestStack = Awaited<ReturnType<typeof openStack>>;

/** An image that does nothing, in the place of the edge. */
async function edgeImage(): Promise<string> {
  const id = await run('docker', ['image', 'inspect', '--format={{.Id}}', 'stacktest/edge:1'], { timeout: 20_000 });
  if (id.exitCode === 0) return id.stdout.trim();
  const built = await run('docker', ['build', '--tag=stacktest/edge:1', '-'], {
    input: 'FROM debian:trixie-slim\nCMD ["sh", "-c", "trap \\"exit 0\\" TERM QUIT; while :; do sleep 1; done"]\n',
    timeout: 60_000,
  });
  if (built.exitCode !== 0) throw new Error(built.stderr);
  return docker('image', 'inspect', '--format={{.Id}}', 'stacktest/edge:1');
}

export function contextWith(
  signal: AbortSignal = new AbortController().signal,
  clock: Clock = systemClock,
): StepContext & { readonly lines: string[] } {
  const lines: string[] = [];
  return { operation: 'test', signal, clock, progress: (text) => void lines.push(text), lines };
}
