import type { ChildProcess } from 'node:child_process';
import { execa } from 'execa';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildProgram, end, playStage } from './program.ts';
import { temporaryRoot } from './stage/face.ts';
import { TestTerminal } from './terminal.ts';

// S1-63, S1-65: what replaces data shows what it will do and asks for the name of the appliance, on a real terminal.
const place = temporaryRoot();
const id = '20261121T020000Z-1f3c';
let program: string;
let stage: ChildProcess;
const opened: TestTerminal[] = [];

beforeAll(async () => {
  program = buildProgram(place.root);
  stage = await playStage(place.root, 50);
}, 180_000);
afterEach(() => {
  for (const terminal of opened.splice(0)) terminal.hangUp();
});
afterAll(async () => {
  await end(stage);
  place.remove();
});

const environment = () => ({ ...process.env, APPLIANCE_ROOT: place.root, TERM: 'xterm-256color', LANG: 'C.UTF-8' });

function open(words: string): TestTerminal {
  const size = { columns: 120, rows: 40 };
  const terminal = new TestTerminal(`${process.execPath} ${program} ${words}`, place.root, size, environment());
  opened.push(terminal);
  return terminal;
}

async function run(words: string): Promise<{ exitCode: number | undefined; stdout: string }> {
  const options = { reject: false, stdin: 'ignore', env: environment() } as const;
  const { exitCode, stdout } = await execa(process.execPath, [program, ...words.split(' ')], options);
  return { exitCode, stdout };
}

const operations = async (): Promise<string> => (await run('operations --json')).stdout;

describe.each([
  ['restore', `backup restore ${id} --component database`],
  ['rollback', `rollback v0.9 --restore-data ${id}`],
])('%s', (kind, words) => {
  it('asks for the name after the plan was shown, takes no other, and Ctrl-C touches nothing', async () => {
    const wrong = open(words);
    await wrong.shows(/Type routing-ml to go on/);
    wrong.type('yes\r');
    expect(await wrong.ended()).toBe(2);
    await wrong.shows(/that is not the name/);
    const left = open(words);
    await left.shows(/is replaced[\s\S]*Type routing-ml to go on/);
    left.type('\u0003');
    expect(await left.ended()).toBe(130);
    expect(await operations()).not.toContain(`"kind":"${kind}"`);
  });

  it('refuses where nobody can be asked, and says how a script does it', async () => {
    const { exitCode, stdout } = await run(`${words} --json`);
    expect(exitCode).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({
      error: { code: 'confirmation_needed', hint: expect.stringContaining('--yes') },
    });
    expect(await operations()).not.toContain(`"kind":"${kind}"`);
  });

  it('goes on once the name was typed', async () => {
    const right = open(words);
    await right.shows(/Type routing-ml to go on/);
    right.type('routing-ml\r');
    expect(await right.ended()).toBe(0);
    expect(await operations()).toContain(`"kind":"${kind}"`);
  });
});
