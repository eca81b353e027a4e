import { setTimeout as delay } from 'node:timers/promises';
import { buildProgram, end, playStage } from '../e2e/program.ts';
import { temporaryRoot } from '../e2e/stage/face.ts';
import { TestTerminal } from '../e2e/terminal.ts';
import { cpuSeconds, memoryOf } from './demo/processes.ts';
import { main, median, type Row, range } from './row.ts';

/** How often the screens are opened, keys are pressed, and how long is looked at them, in milliseconds. */
const openings = Number(process.env.BENCH_RUNS ?? 9);
const presses = 60;
/** Containers that the appliance has of itself; the last of 500 is called worker-493. */
const last = 493;
const idle = Number(process.env.BENCH_RUNS ?? 30) * 1_000;
/** Milliseconds until V8 is done with compiling what the first frames have shown to be hot. */
const warm = 60_000;
const soak = Number(process.env.BENCH_RUNS ?? 60) * 1_000;
/** Log lines that come every 20 ms: 20,000 a second. */
const flood = { pause: 20, burst: 400 };

export const about = `Screens: the bundle in a real pseudo-terminal of 160 by 50 with a terminal emulator behind it, against the
server of the agent with recorded answers. From the start of the program to the first frame with the live release, ${openings}
times; from a key to the frame that shows its effect, ${presses} times with 500 containers; processor time and bytes of an
Overview that nobody touches, for ${idle / 1_000} s after its first minute; lines followed and
memory while 20,000 log lines a second come, for ${soak / 1_000} s after a quarter of that.`;

export async function bench(): Promise<Row[]> {
  const place = temporaryRoot();
  try {
    const program = buildProgram(place.root);
    return [
      await firstFrame(program),
      await keyToFrame(program),
      ...(await idling(program)),
      ...(await flooded(program)),
    ];
  } finally {
    place.remove();
  }
}

/** Runs something with the screens open on an agent in some mood. */
async function withScreens<Result>(
  program: string,
  mood: string,
  work: (open: () => TestTerminal) => Promise<Result>,
  logs?: { pause: number; burst: number },
): Promise<Result> {
  const place = temporaryRoot();
  const agent = await playStage(place.root, 100, mood, logs);
  const opened: TestTerminal[] = [];
  try {
    return await work(() => {
      const env = { ...process.env, APPLIANCE_ROOT: place.root, TERM: 'xterm-256color', LANG: 'C.UTF-8', CI: 'false' };
      const size = { columns: 160, rows: 50 };
      const terminal = new TestTerminal(`${process.execPath} ${program}`, place.root, size, env);
      opened.push(terminal);
      return terminal;
    });
  } finally {
    for (const terminal of opened) terminal.hangUp();
    await end(agent);
    place.remove();
  }
}

async function firstFrame(program: string): Promise<Row> {
  return withScreens(program, 'recorded', async (open) => {
    const times: number[] = [];
    for (let run = 0; run <= openings; run += 1) {
      const started = performance.now();
      const terminal = open();
      await terminal.shows(/Release +v1\.0 on blue/);
      // The first start fills the compile cache.
      if (run > 0) times.push(performance.now() - started);
      terminal.type('q');
      await terminal.ended();
    }
    const value = median(times);
    return {
      name: 'screens, from the start to the first useful frame',
      value,
      unit: 'ms',
      spread: `${range(times, 0)} in ${times.length} starts`,
      target: '≤ 300 ms',
      met: value <= 300,
    };
  });
}

async function keyToFrame(program: string): Promise<Row> {
  return withScreens(program, 'crowded', async (open) => {
    const terminal = open();
    await terminal.shows(/Release +v1/);
    // Below the workers, which are of the live colour, stand the three services that both colours share.
    terminal.type('2Gkkk');
    await terminal.shows(new RegExp(`▸✓ worker-${last} `));
    const times: number[] = [];
    for (let press = 1; press <= presses; press += 1) {
      const started = performance.now();
      terminal.type('k');
      await terminal.shows(new RegExp(`▸✓ worker-${last - press} `));
      times.push(performance.now() - started);
      await delay(20);
    }
    const sorted = times.sort((a, b) => a - b);
    const value = sorted[Math.ceil(sorted.length * 0.95) - 1] ?? Number.POSITIVE_INFINITY;
    return {
      name: 'screens, from a key to its frame with 500 containers, p95',
      value,
      unit: 'ms',
      spread: `median ${median(sorted).toFixed(1)} ms of ${sorted.length} keys`,
      target: '≤ 50 ms',
      met: value <= 50,
    };
  });
}

async function idling(program: string): Promise<Row[]> {
  return withScreens(program, 'recorded', async (open) => {
    const terminal = open();
    await terminal.shows(/Release +v1/);
    const pid = pidOf(terminal, program);
    await delay(warm);
    const [bytes, busy, started] = [terminal.raw.length, await cpuSeconds(pid), performance.now()];
    await delay(idle);
    const seconds = (performance.now() - started) / 1_000;
    const share = (100 * ((await cpuSeconds(pid)) - busy)) / seconds;
    const rate = (terminal.raw.length - bytes) / seconds;
    const spread = `over ${Math.round(seconds)} s`;
    return [
      { name: 'screens idle, of one core', value: share, unit: '%', spread, target: '≤ 1 %', met: share <= 1 },
      {
        name: 'screens idle, sent to the terminal',
        value: rate,
        unit: 'bytes/s',
        spread,
        target: '≤ 700 bytes/s',
        met: rate <= 700,
      },
    ];
  });
}

async function flooded(program: string): Promise<Row[]> {
  return withScreens(
    program,
    'well',
    async (open) => {
      const terminal = open();
      await terminal.shows(/Release +v1/);
      terminal.type('3');
      const newest = () =>
        Math.max(0, ...[...terminal.text.matchAll(/(?:request|ERROR) (\d+)/g)].map(([, number]) => Number(number)));
      await terminal.shows(() => newest() > 20_000);
      const pid = pidOf(terminal, program);
      const resident = async () => (await memoryOf(pid)).resident / 1e6;
      await delay(soak / 4);
      const [from, early, started] = [newest(), await resident(), performance.now()];
      await delay(soak);
      const rate = (newest() - from) / ((performance.now() - started) / 1_000);
      const late = await resident();
      return [
        {
          name: 'screens, log lines followed',
          value: rate,
          unit: 'lines/s',
          spread: 'of 20,000 lines/s that come',
          target: '≥ 19,800 lines/s',
          met: rate >= 19_800,
        },
        {
          name: 'screens, memory after following them',
          value: late,
          unit: 'MB',
          rival: { name: 'at the beginning', value: early },
          ratio: late / early,
          target: '≤ 1.25 of it',
          met: late / early <= 1.25,
        },
      ];
    },
    flood,
  );
}

function pidOf(terminal: TestTerminal, program: string): number {
  const [pid] = terminal.processes(program);
  if (pid === undefined) throw new Error('the screens do not run');
  return pid;
}

if (import.meta.main) await main(bench);
