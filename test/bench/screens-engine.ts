import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { buildProgram } from '../e2e/program.ts';
import { TestTerminal } from '../e2e/terminal.ts';
import { EngineProxy } from '../faults/engine-proxy.ts';
import { Lab } from '../support/appliance.ts';
import { main, median, type Row, range } from './row.ts';

/** How often is looked, with the screens open and without. */
const rounds = Number(process.env.BENCH_RUNS ?? 3);
/** Milliseconds of each look. */
const span = 30_000;
/** Screens that are open at once. */
const screensOpen = 3;

export const about = `Screens and the engine: the reference application with its agent, which reaches the Docker Engine through a
socket that counts requests. ${rounds} pairs of ${span / 1_000} s, without screens and with ${screensOpen} Overviews open.`;

/** What open screens cost the engine: nothing, the agent collects once for all. */
export async function bench(): Promise<Row[]> {
  const lab = await Lab.make({ name: 'benchscreens', port: 28_960, pool: '10.251.0.0/16' });
  const proxy = await EngineProxy.open(join(lab.root, 'engine.sock'));
  try {
    const { exitCode, document } = await lab.json(['deploy', 'v1.0', '--yes']);
    if (exitCode !== 0) throw new Error(JSON.stringify(document));
    await lab.startAgent({ DOCKER_HOST: proxy.host });
    const program = buildProgram(lab.root);
    await delay(10_000);
    const extra: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const without = await requestsIn(proxy);
      const terminals = await openScreens(lab.root, program);
      const beside = await requestsIn(proxy);
      for (const terminal of terminals) {
        terminal.type('q');
        await terminal.ended();
      }
      extra.push(((beside - without) / screensOpen) * (60_000 / span));
    }
    const value = median(extra);
    return [
      {
        name: 'requests to the engine by one open screen',
        value,
        unit: 'per minute',
        spread: `${range(extra)} of ${extra.length}`,
        target: '≤ 1 per minute',
        met: value <= 1,
      },
    ];
  } finally {
    await lab.destroy();
    await proxy.cut();
  }
}

async function requestsIn(proxy: EngineProxy): Promise<number> {
  const before = proxy.requests;
  await delay(span);
  return proxy.requests - before;
}

async function openScreens(root: string, program: string): Promise<TestTerminal[]> {
  const env = { ...process.env, APPLIANCE_ROOT: root, TERM: 'xterm-256color', LANG: 'C.UTF-8', CI: 'false' };
  const command = `${process.execPath} ${program}`;
  const terminals = Array.from(
    { length: screensOpen },
    () => new TestTerminal(command, root, { columns: 120, rows: 40 }, env),
  );
  for (const terminal of terminals) await terminal.shows(/Release +v1\.0 on/);
  // What opening costs is no part of being open.
  await delay(6_000);
  return terminals;
}

if (import.meta.main) await main(bench);
