import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { EngineProxy } from '../faults/engine-proxy.ts';
import { activeModels } from '../support/active-models.ts';
import { Lab } from '../support/appliance.ts';
import { Load } from '../support/load.ts';
import { buildProgram } from './program.ts';
import { TestTerminal } from './terminal.ts';

// The screens before a real agent, which works on real containers through an engine that the test can take away. The tests
// build on each other.
const name = 'screenstest';
const port = 28_840;
const reference = resolve(import.meta.dirname, '../../compose/routing-ml');
/** Milliseconds that anything may take which containers have to do, on a host that has other things to do as well. */
const patience = 60_000;
const brief = `
name: brief
title: a stage that ends when a person says so, and a short watch
canary:
  stages:
    - { weight: 30, for: 10m, every: 300ms, minRequests: 20, patience: 10m }
    - { weight: 100 }
bake: { for: 2s, every: 300ms, patience: 60s }
verifyRollback: { attempts: 60, every: 300ms }
gates: [{ id: few-errors, metric: errors, below: 0.1 }]
rollback: [{ id: many-errors, metric: errors, above: 0.5 }]
`;

let folder: string;
let program: string;
let lab: Lab;
let engine: EngineProxy;
let users: Load;
const opened: TestTerminal[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'screens-'));
  program = buildProgram(folder);
  engine = await EngineProxy.open(join(folder, 'engine.sock'));
  lab = await Lab.make({
    name,
    port,
    pool: '10.197.0.0/16',
    backups: true,
    entry: program,
    edit: (yaml) => yaml.replace('drain: 120s', 'drain: 2s').replace(/^models:$/m, '$&\n  bake: 1s'),
  });
  await mkdir(join(lab.root, 'etc/policies'));
  await writeFile(join(lab.root, 'etc/policies/brief.yaml'), brief);
  await lab.startAgent({ DOCKER_HOST: engine.host });
  const { exitCode, document } = await lab.json(['deploy', 'v1.0', '--yes']);
  expect({ exitCode, error: document.error }).toEqual({ exitCode: 0, error: undefined });
  for (const models of ['versions/v0.9/models', 'app/models']) {
    const { exitCode, stderr } = await lab.run(['models', 'add', join(reference, models)]);
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  }
  users = new Load({ port, path: '/health', keepAlive: 2, fresh: 1, pause: 30 });
}, 400_000);
afterEach(() => {
  for (const terminal of opened.splice(0)) terminal.hangUp();
});
afterAll(async () => {
  await users?.stop();
  await lab?.destroy();
  await engine?.cut();
  // What restic ran in while the engine was away.
  const { stdout } = await execa('docker', ['ps', '--all', '--quiet', '--filter', `label=appliance.backup=${name}`]);
  if (stdout !== '') await execa('docker', ['rm', '--force', '--volumes', ...stdout.split('\n')]);
  await rm(folder, { recursive: true, force: true });
}, 200_000);

function open(columns = 80, rows = 24): TestTerminal {
  const env = { ...process.env, APPLIANCE_ROOT: lab.root, TERM: 'xterm-256color', LANG: 'C.UTF-8' };
  const terminal = new TestTerminal(`${process.execPath} ${program}`, folder, { columns, rows }, env);
  opened.push(terminal);
  return terminal;
}

/** Opens a screen by its key, once the agent has answered. */
async function at(key: string, sign: RegExp, size: readonly [number, number] = [80, 24]): Promise<TestTerminal> {
  const terminal = open(...size);
  await terminal.shows(/▸[^\n]* backend-1/, patience);
  terminal.type(key);
  await terminal.shows(sign, patience);
  return terminal;
}

/** Agrees to a dialog in front of which Cancel is marked. */
async function goOn(terminal: TestTerminal, dialog: RegExp): Promise<void> {
  await terminal.shows(dialog, patience);
  await terminal.shows(/▸ Cancel/);
  terminal.type('\t');
  await terminal.shows(/▸ Go on/);
  terminal.type('\r');
}

async function sql(text: string): Promise<string> {
  const argv = ['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-U', 'routing', '-d', 'routing_ml', '-c', text];
  return (await execa('docker', ['exec', `${name}-core-postgres-1`, ...argv])).stdout.trim();
}

const inForce = async (): Promise<string[]> => (await activeModels(name)).map(({ version }) => version);

describe('models', () => {
  it('are listed, shown, promoted and taken back, and running processes have loaded what the screen says', async () => {
    const terminal = await at('6', /Models {2}2 versions[\s\S]*\? routing-similarity \d+\.\d+ serves/);
    terminal.type('\r');
    await terminal.shows(/Directory +\/[\s\S]*Libraries +python/);
    terminal.type('\u001b');
    await terminal.shows(/▸\? 2026\.1 +registered/);
    terminal.type('p');
    await goOn(terminal, /models promote routing-similarity@2026\.1[\s\S]*routing-similarity \d+\.\d+ is in force now/);
    await terminal.shows(/✓ 2026\.1 +production +in force[\s\S]*✓ routing-similarity@2026\.1 is in force/, patience);
    expect(await inForce()).toEqual(['2026.1', '2026.1']);
    terminal.type('j');
    await terminal.shows(/▸\? 2025\.3/);
    terminal.type('b');
    await terminal.shows(/2025\.3 was never in production/);
    terminal.type('p');
    await goOn(terminal, /routing-similarity 2026\.1 is in force now[\s\S]*accuracy 0\.9625 to 0\.945/);
    await terminal.shows(/✓ 2025\.3 +production +in force[\s\S]*✓ routing-similarity@2025\.3 is in force/, patience);
    terminal.type('k');
    await terminal.shows(/▸• 2026\.1 +validated/);
    terminal.type('b');
    await goOn(terminal, /models rollback routing-similarity@2026\.1/);
    await terminal.shows(/▸✓ 2026\.1 +production +in force[\s\S]*2026\.1 is in force again/, patience);
    expect(await inForce()).toEqual(['2026.1', '2026.1']);
  });
});

describe('a rollout', () => {
  it('is begun, watched, paused, left alone, resumed and promoted from the screens', async () => {
    const first = await at('4', /▸✓ v1\.0 +live/);
    first.type('d');
    await first.shows(/tag to deploy \[--policy NAME\]:/);
    first.type('v1.0-p2 --policy brief\r');
    await goOn(first, /→ appliance deploy v1\.0-p2 --policy brief[\s\S]*by policy brief/);
    first.type('5');
    // Before its first stage it is a deploy like any other.
    await first.shows(/Running +deploy v1\.0-p2[\s\S]*STEPS/, patience);
    await first.shows(
      /v1\.0-p2 on (blue|green) by policy brief, instead of v1\.0 on (?!\1)[\s\S]*stage 1 of 2: 30 %[\s\S]*· 2 +100 %/,
      patience,
    );
    await first.shows(/Verdict +✓ pass[\s\S]*✓ errors 0 % .*samples {2}gate/, patience);
    first.type('p');
    await first.shows(/→ appliance pause[\s\S]*▸ Go on/);
    first.type('\r');
    await first.shows(/State +\? paused; p lets it go on[\s\S]*✓ the rollout of v1\.0-p2 is paused|✓ appliance pause/);
    first.type('q');
    expect(await first.ended()).toBe(0);

    const again = await at('5', /State +\? paused/, [120, 40]);
    await again.shows(/• deploy v1\.0-p2 \d+ %/);
    again.type('p');
    await again.shows(/→ appliance resume[\s\S]*▸ Go on/);
    again.type('\r');
    await again.shows(/State +• running/);
    again.type('m');
    await goOn(again, /→ appliance promote[\s\S]*1 stage after it is to come/);
    await again.shows(/stage 2 of 2: all traffic, watched[\s\S]*✓ 1 +30 % +stage +held .*promoted by/, patience);
    await again.shows(/Last +✓ v1\.0-p2 is live \(was v1\.0\)[\s\S]*No rollout is running/, patience);
    await again.shows(/✓ screenstest {2}v1\.0-p2 on/);
  });

  it('is aborted from the screen, and it says so', async () => {
    const { exitCode } = await lab.run(['deploy', 'v1.0', '--policy', 'brief', '--detach', '--yes']);
    expect(exitCode).toBe(0);
    const terminal = await at('5', /stage 1 of 2: 30 %/);
    terminal.type('a');
    await goOn(terminal, /→ appliance abort[\s\S]*All traffic goes to v1\.0-p2/);
    await terminal.shows(/Last +✗ deploy v1\.0 failed and was taken back[\s\S]*called off by/, patience);
    expect(terminal.text).toMatch(/(blue|green) 100 %/);
  });
});

describe('backups', () => {
  it('are made and restored, with plan, typed name and progress to the end, and the data is back', async () => {
    await sql('CREATE TABLE kept (n int); INSERT INTO kept SELECT generate_series(1, 100)');
    const terminal = await at('7', /Backups {2}\d+ snapshots/, [120, 40]);
    terminal.type('n');
    await terminal.shows(/→ appliance backup now[\s\S]*▸ Go on/);
    terminal.type('\r');
    await terminal.shows(/▸\? (\d{8}T\d{6}Z-\w+) +manual[\s\S]*✓ appliance backup now · backup \1 done/, patience);
    await sql('DROP TABLE kept');
    terminal.type('R');
    await terminal.shows(/what \(all, database, /);
    terminal.type('\u0015database\r');
    await terminal.shows(/CHANGES?[\s\S]*\+ rows routing_ml public\.kept {2}100 rows[\s\S]*STEPS/, patience);
    terminal.type(`${name.slice(0, -1)}\t\r`);
    await terminal.shows(/the name must be typed/);
    terminal.type(`${name.slice(-1)}\r`);
    await terminal.shows(/• restore \S+ database \d+ %[\s\S]* • (?:dump databases|store|stage|load|put)/, patience);
    await terminal.shows(/✓ .*restore \S+ database done in/, patience);
    expect(await sql('SELECT count(*) FROM kept')).toBe('100');
    await terminal.shows(/\d{8}T\d{6}Z-\w+ +safety/, patience);
  });
});

describe('what goes away', () => {
  it('is an engine: every screen says so, and is right again when it answers', async () => {
    const terminal = await at('7', /Backups {2}\d+ snapshots/);
    await engine.cut();
    const away = /✗ the Docker Engine does not answer; containers are shown as they were/;
    await terminal.shows(away, patience);
    expect(terminal.lines[0]).toMatch(/^ ✗ screenstest/);
    terminal.type('2');
    await terminal.shows(/Services {2}\d+ containers/);
    expect(terminal.text).toMatch(away);
    terminal.type('6');
    await terminal.shows(/▸. 2026\.1/);
    terminal.type('p');
    await goOn(terminal, /→ appliance models promote/);
    await terminal.shows(/✗ model-promote \S+ failed after .*the Docker/, patience);
    await engine.restore();
    await terminal.shows((now) => !away.test(now.text) && /^ ✓ screenstest/.test(now.lines[0] ?? ''), patience);
    terminal.type('7');
    await terminal.shows(/Backups {2}\d+ snapshots[\s\S]*safety/, patience);
  });

  it('is the agent: what was seen stays, and the next one is found', async () => {
    const terminal = await at('6', /▸. 2026\.1/);
    await lab.stopAgent('SIGKILL');
    await terminal.shows(/✗ The agent does not answer; trying again/);
    expect(terminal.text).toMatch(/▸. 2026\.1/);
    await lab.startAgent({ DOCKER_HOST: engine.host });
    await terminal.shows(
      (now) => !/does not answer/.test(now.text) && /^ ✓ screenstest/.test(now.lines[0] ?? ''),
      patience,
    );
    terminal.type('q');
    expect(await terminal.ended()).toBe(0);
  });
});
