import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { median, middleHalf, type Row, range } from '../row.ts';
import { type DemoStack, iterations } from './stack.ts';

interface Command {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
}

/** How long a person waits for the two most common commands, beside the nearest thing to them. */
export async function measureCommandLine(stack: DemoStack): Promise<Row[]> {
  const { root, entry } = stack.lab;
  const ours = (verb: string): Command => ({ name: verb, file: process.execPath, args: [entry, verb] });
  const empty = join(root, 'empty.js');
  await writeFile(empty, '');
  const project = stack.project((await stack.status()).release?.colour ?? 'blue');
  return [
    compare(root, 'appliance status', 1, 25, ours('status'), {
      name: 'docker compose ps',
      file: 'docker',
      args: ['compose', '--project-name', project, 'ps'],
    }),
    compare(root, 'appliance --help', 1.5, 41, ours('--help'), {
      name: 'an empty Node script',
      file: process.execPath,
      args: [empty],
    }),
  ];
}

/** Both in turns, each ratio from runs next to each other; who goes first changes from pair to pair. */
function compare(root: string, name: string, target: number, pairs: number, ours: Command, rival: Command): Row {
  const mine: number[] = [];
  const theirs: number[] = [];
  // The first run of each fills caches that later ones find full.
  time(root, ours);
  time(root, rival);
  for (let pair = 0; pair < iterations(pairs); pair += 1) {
    if (pair % 2 === 0) mine.push(time(root, ours));
    theirs.push(time(root, rival));
    if (pair % 2 === 1) mine.push(time(root, ours));
  }
  const ratios = mine.map((value, pair) => value / (theirs[pair] ?? Number.NaN));
  return {
    name,
    value: median(mine),
    unit: 'ms',
    rival: { name: rival.name, value: median(theirs) },
    ratio: median(ratios),
    spread: `middle half ${range(middleHalf(ratios))} of ${ratios.length} pairs`,
    target: `≤ ${target.toFixed(1)} of it`,
    met: median(ratios) <= target,
  };
}

/** Milliseconds from the start of a command to its end. @throws Error when it fails */
function time(root: string, { name, file, args }: Command): number {
  const started = performance.now();
  const { status, stderr } = spawnSync(file, args, {
    env: { ...process.env, APPLIANCE_ROOT: root },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 30_000,
  });
  const taken = performance.now() - started;
  if (status !== 0) throw new Error(`${name} ended with ${status}: ${stderr.toString()}`);
  return taken;
}
