import { readdir, readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { expect } from 'vitest';
import { z } from 'zod';
import type { OperationResult, Status } from '../../src/api/schema.ts';
import { type ContainerDetail, Engine } from '../../src/host/docker.ts';
import { edgeControl, weightsSchema } from '../../src/host/nginx.ts';
import { openReadOnly } from '../../src/host/sqlite.ts';
import { allOn, type Colour, colours, otherColour } from '../../src/lib/colour.ts';
import { pathsFor } from '../../src/lib/paths.ts';
import type { FaultLab } from './lab.ts';

const engine = new Engine();

/** What must be true of an appliance whose agent was killed, once the next one has settled what was open. */
export interface Expected {
  /** Tag that serves. */
  readonly tag: string;
  /** How the operation that was cut short ended. */
  readonly result?: OperationResult['result'];
  /** The colour without traffic does not run: strategy recreate keeps it stopped. */
  readonly idleStopped?: boolean;
}

/** Asserts that the appliance is in one consistent state, and that nothing stray is left on the machine. */
export async function expectConsistent(lab: FaultLab, expected: Expected): Promise<void> {
  const status = await lab.settled();
  expect(status).toMatchObject({ release: { tag: expected.tag }, operation: null });
  expect(status.findings.filter(({ verdict }) => verdict !== 'pass')).toEqual([]);
  const live = status.release?.colour ?? 'blue';
  expect(status.traffic).toEqual(allOn(live));
  if (expected.result) {
    const [last] = await lab.client((client) => client.ask('operations', {}));
    expect(last, JSON.stringify(last?.error)).toMatchObject({ result: expected.result });
  }
  await Promise.all([
    expectAnswers(lab, expected.tag),
    expectContainers(lab, live, expected.idleStopped ?? false),
    expectNetworks(lab),
    expectEdge(lab, live, expected.tag),
    expectState(lab, status),
    expectFiles(lab),
    expectSchema(lab),
    expectNoProcesses(lab),
  ]);
  expect(await lab.client((client) => client.ask('auditVerify', {}))).toMatchObject({ verdict: 'pass' });
}

async function expectAnswers({ options: { port } }: FaultLab, tag: string): Promise<void> {
  const seen = new Map<string, number>();
  for (let index = 0; index < 50; index += 1) {
    const answer = await ask(port);
    seen.set(answer, (seen.get(answer) ?? 0) + 1);
  }
  expect([...seen]).toEqual([[`200 ${tag}`, 50]]);
}

/** Status and release, which is what the application says of itself. */
function ask(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path: '/health', agent: false, timeout: 15_000 }, (answer) => {
      answer.resume();
      answer.once('end', () => resolve(`${answer.statusCode} ${String(answer.headers['x-appliance-release'])}`));
      answer.once('error', reject);
    });
    asked.once('timeout', () => asked.destroy(new Error('no answer in 15 s')));
    asked.once('error', reject);
    asked.end();
  });
}

/** The core, the live colour complete, the other one complete or empty, and nothing else. */
async function expectContainers(
  { root, options: { name } }: FaultLab,
  live: Colour,
  idleStopped: boolean,
): Promise<void> {
  const listed = await Promise.all([
    engine.containers([`appliance.name=${name}`]),
    ...['core', ...colours, 'images'].map((part) => engine.containers([`com.docker.compose.project=${name}-${part}`])),
  ]);
  const ids = new Set(listed.flat().map(({ id }) => id));
  const all = (await Promise.all([...ids].map((id) => engine.inspect(id)))).filter((detail) => detail !== undefined);
  const core = all.filter(({ labels }) => labels['appliance.colour'] === undefined);
  expect(namesOf(core)).toEqual([`${name}-core-edge-1`, `${name}-core-store-1`]);
  for (const colour of colours) {
    const there = all.filter(({ labels }) => labels['appliance.colour'] === colour);
    if (colour === live || there.length > 0) await expectWholeRelease(root, `${name}-${colour}`, there);
  }
  for (const { labels, state, exitCode, name: container } of all) {
    const idle = labels['appliance.colour'] === otherColour(live);
    const ended = labels['appliance.role'] === 'job' || (idle && idleStopped);
    expect(`${container} ${state} ${exitCode}`).toBe(`${container} ${ended ? 'exited' : 'running'} 0`);
  }
}

function namesOf(containers: readonly ContainerDetail[]): string[] {
  return containers.map(({ name }) => name).sort();
}

const imagesSchema = z.record(z.string(), z.object({ id: z.string() }));
const manifestSchema = z.object({ services: z.array(z.object({ name: z.string(), replicas: z.number() })) });

/** The containers of a colour are all those of one release, and run the images that it was sealed with. */
async function expectWholeRelease(root: string, project: string, found: readonly ContainerDetail[]): Promise<void> {
  const [release = '', ...others] = new Set(found.map(({ labels }) => labels['appliance.releaseId'] ?? ''));
  expect(others).toEqual([]);
  const files = join(root, 'lib/releases', release);
  const { services } = manifestSchema.parse(JSON.parse(await readFile(join(files, 'manifest.json'), 'utf8')));
  const replicas = services.find(({ name }) => name === 'backend')?.replicas ?? 0;
  const backends = Array.from({ length: replicas }, (_, index) => `${project}-backend-${index + 1}-1`);
  expect(namesOf(found)).toEqual([...backends, `${project}-prepare-1`]);
  const images = imagesSchema.parse(JSON.parse(await readFile(join(files, 'images.json'), 'utf8')));
  for (const { labels, imageId } of found) expect(imageId).toBe(images[labels['appliance.service'] ?? '']?.id);
}

async function expectNetworks({ options: { name } }: FaultLab): Promise<void> {
  const ours = (await engine.networks()).map((network) => network.name).filter((one) => one.startsWith(`${name}-`));
  expect(ours.sort()).toEqual([`${name}-blue`, `${name}-green`]);
  expect(await engine.volumes([`appliance.name=${name}`])).toHaveLength(1);
}

/** Weights on disk, weights in nginx and the record agree; nginx serves the configuration that stands on disk. */
async function expectEdge({ root }: FaultLab, live: Colour, tag: string): Promise<void> {
  const { edge } = pathsFor(root);
  const { generation, weights, releases } = await edgeControl(join(edge, 'run/control.sock')).status();
  expect(weights).toEqual(allOn(live));
  expect(releases[live]).toBe(tag);
  const file = await readFile(join(edge, 'state/weights.json'), 'utf8');
  expect(weightsSchema.parse(JSON.parse(file))).toEqual(allOn(live));
  const conf = await readFile(join(edge, 'conf/nginx.conf'), 'utf8');
  expect(conf.startsWith(`# generation ${generation}\n`)).toBe(true);
  expect(await readdir(join(edge, 'conf'))).not.toContain('pending');
  expect(await readdir(join(edge, 'conf'))).not.toContain('nginx.conf.next');
}

async function expectState({ root }: FaultLab, status: Status): Promise<void> {
  const paths = pathsFor(root);
  const database = openReadOnly(paths.state);
  try {
    expect(database.prepare("SELECT id FROM operations WHERE result = 'running'").all()).toEqual([]);
    const live = database.prepare('SELECT tag, colour FROM live JOIN releases ON releases.id = live.release').get();
    expect(live).toEqual({ tag: status.release?.tag, colour: status.release?.colour });
    const known = z.array(z.object({ id: z.string() })).parse(database.prepare('SELECT id FROM releases').all());
    expect((await readdir(paths.releases)).sort()).toEqual(known.map(({ id }) => id).sort());
  } finally {
    database.close();
  }
}

/** The record of the schema is what the migrations have made of the database. */
async function expectSchema({ root, options: { name } }: FaultLab): Promise<void> {
  const read = ['exec', `${name}-core-store-1`, 'tail', '-n', '1', '/data/schema'];
  const { stdout } = await execa('docker', read);
  const database = openReadOnly(pathsFor(root).state);
  try {
    expect(database.prepare('SELECT version FROM database_schema').get()).toEqual({ version: Number(stdout) });
  } finally {
    database.close();
  }
}

/** No temporary file of a write that was cut short: some of them hold secrets. */
async function expectFiles({ root }: FaultLab): Promise<void> {
  const all = await readdir(join(root, 'lib'), { recursive: true });
  expect(
    all.filter((path) => /(?:^|\/)\.[^/]*\.tmp$|\.index$|\/plan-|\.lock$/.test(path) && path !== 'writer.lock'),
  ).toEqual([]);
}

/** Milliseconds within which a child of a killed agent must have ended. */
const lastBreath = 30_000;

async function expectNoProcesses({ root }: FaultLab): Promise<void> {
  const deadline = Date.now() + lastBreath;
  for (;;) {
    const left = await processesAt(root);
    if (left.length === 0) return;
    if (Date.now() > deadline) expect(left).toEqual([]);
    await delay(50);
  }
}

/** Command lines that name a directory, except those of agents. */
async function processesAt(directory: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const argv = await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '');
    if (argv.includes(`${directory}/`)) found.push(argv.replaceAll('\0', ' ').trim());
  }
  return found;
}
