import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { type ComposeCall, composeHands } from '../../src/host/compose.ts';
import { ApplianceError } from '../../src/lib/errors.ts';
import { removeTraces } from '../support/traces.ts';
import { docker } from './stack-support.ts';

const projectName = 'stacktest-hands';
let directory: string;

beforeAll(async () => {
  await removeTraces(projectName);
  directory = await mkdtemp(join(tmpdir(), 'stacktest-hands-'));
});
afterEach(() => {
  vi.unstubAllEnvs();
});
afterAll(async () => {
  await removeTraces(projectName);
  await rm(directory, { recursive: true, force: true });
});

async function callFor(text: string, more: Partial<ComposeCall> = {}): Promise<ComposeCall> {
  const file = join(directory, 'compose.yaml');
  await writeFile(file, text);
  return { projectName, directory, files: [file], timeout: 60_000, ...more };
}

async function failure(work: Promise<unknown>): Promise<ApplianceError> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (thrown instanceof ApplianceError) return thrown;
  throw new Error(`expected an ApplianceError, got ${String(thrown)}`);
}

const idle = 'services: { a: { image: "debian:trixie-slim", init: true, command: [sleep, infinity] } }';

describe('resolve', () => {
  test("an invalid file is refused with Compose's own line", async () => {
    const error = await failure(composeHands.resolve(await callFor('services: { a: { image: x, portz: [1] } }')));
    expect(error.code).toBe('compose_invalid');
    expect(error.message).toContain('portz');
    expect(error.exit).toBe(2);
  });

  test('known secrets do not stand in the message', async () => {
    const text = 'services: { a: { image: x, ports: ["$PASSWORD"] } }';
    const call = await callFor(text, { variables: { PASSWORD: 'hunter2-hunter2' }, secrets: ['hunter2-hunter2'] });
    const error = await failure(composeHands.resolve(call));
    expect(error.message).toContain('***');
    expect(error.message).not.toContain('hunter2');
  });

  test('only the given variables count, not those of whoever runs it', async () => {
    vi.stubEnv('STRAY', 'from the shell');
    const text = `services: { a: { image: "x:\${GIVEN}", environment: { STRAY: "\${STRAY:-unset}" } } }`;
    const model = await composeHands.resolve(await callFor(text, { variables: { GIVEN: '1' } }));
    expect(model).toMatchObject({ services: { a: { image: 'x:1', environment: { STRAY: 'unset' } } } });
  });

  test('an overlay is merged last', async () => {
    const overlay = { services: { a: { environment: { ADDED: '1' } } } };
    const model = await composeHands.resolve(await callFor(idle, { overlay }));
    expect(model).toMatchObject({ services: { a: { init: true, environment: { ADDED: '1' } } } });
  });

  test('an aborted call ends with the reason of its signal', async () => {
    const call = await callFor(idle, { signal: AbortSignal.abort(new Error('enough')) });
    await expect(composeHands.resolve(call)).rejects.toThrow('enough');
  });
});

describe('a project that explodes', () => {
  /** Ten levels of ten aliases: 10¹⁰ values out of a kilobyte. */
  const bomb = [
    'x-0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]',
    ...Array.from({ length: 9 }, (_, n) => `x-${n + 1}: &a${n + 1} [${Array(10).fill(`*a${n}`).join(', ')}]`),
    idle,
  ].join('\n');

  /** Every process of Compose that works in the test's directory, and the most memory it ever had, in bytes. */
  async function atWork(): Promise<number[]> {
    const found: number[] = [];
    for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
      const [argv, status] = await Promise.all(
        ['cmdline', 'status'].map((file) => readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')),
      );
      const peak = /^VmHWM:\s+(\d+) kB$/m.exec(status ?? '')?.[1];
      if (argv?.includes(`--project-directory=${directory}\0`) && peak) found.push(Number(peak) * 1_024);
    }
    return found;
  }

  test('is ended with everything it started, has a bounded memory, and is a mistake of the file', async () => {
    const call = await callFor(bomb, { timeout: 8_000 });
    let [peak, most] = [0, 0];
    const looking = setInterval(async () => {
      const found = await atWork();
      most = Math.max(most, found.length);
      peak = Math.max(peak, ...found);
    }, 200);
    const error = await failure(composeHands.resolve(call)).finally(() => clearInterval(looking));
    expect(error).toMatchObject({ code: 'compose_invalid', exit: 2, left: 'nothing was touched' });
    expect(error.message).toMatch(/8 s|512/);
    expect(error.hint).toContain('alias');
    expect(most).toBeGreaterThan(0);
    expect(peak).toBeLessThan(600 * 1_024 * 1_024);
    expect(await atWork()).toEqual([]);
  });

  test('or is larger than memory allows is told from other mistakes', async () => {
    const long = 'x'.repeat(200_000_000);
    const error = await failure(composeHands.resolve(await callFor(`x-long: "${long}"\n${idle}`)));
    expect(error).toMatchObject({ code: 'compose_invalid', exit: 2, left: 'nothing was touched' });
    expect(error.message).not.toMatch(/goroutine|runtime|0x/);
    expect(await atWork()).toEqual([]);
  });

  test('ends when whoever asked goes away', async () => {
    const stop = new AbortController();
    const resolving = composeHands.resolve(await callFor(bomb, { signal: stop.signal }));
    const ended = expect(resolving).rejects.toThrow('enough');
    await vi.waitFor(async () => expect(await atWork()).not.toEqual([]), { timeout: 20_000 });
    stop.abort(new Error('enough'));
    await ended;
    expect(await atWork()).toEqual([]);
  });
});

describe('the engine', () => {
  test('that does not answer is told from a failed command', async () => {
    vi.stubEnv('DOCKER_HOST', `unix://${directory}/no-engine.sock`);
    const call = await callFor(idle);
    const calls = [
      () => composeHands.up(call),
      () => composeHands.version(),
      () => composeHands.repairInterruptedRecreate(projectName),
    ];
    for (const work of calls) {
      const error = await failure(work());
      expect(error).toMatchObject({ code: 'engine_unreachable', exit: 8 });
      expect(error.hint).toBeTruthy();
    }
  });

  test('or whose command is not installed is told with what to do', async () => {
    vi.stubEnv('PATH', directory);
    expect(await failure(composeHands.version())).toMatchObject({
      code: 'engine_unreachable',
      message: 'the docker command is not installed',
    });
  });

  test('and Compose tell their versions', async () => {
    const { compose, engine } = await composeHands.version();
    expect(compose).toMatch(/^2\.\d+\.\d+$/);
    expect(engine).toMatch(/^\d+\.\d+\.\d+$/);
  });
});

describe('up, one-shots and down', () => {
  test('up starts in the background, tells its progress, and does nothing the second time', async () => {
    const lines: string[] = [];
    const call = await callFor(idle, { onLine: (line) => lines.push(line) });
    await composeHands.up({ ...call, flags: ['--no-build', '--pull=never'] });
    expect(lines.join('\n')).toContain('Started');
    const id = await docker('ps', '--quiet', '--filter', `label=com.docker.compose.project=${projectName}`);
    await composeHands.up(call);
    expect(await docker('ps', '--quiet', '--filter', `label=com.docker.compose.project=${projectName}`)).toBe(id);
  });

  test('a one-shot is found again by its name, and the engine refuses a second one', async () => {
    const call = { ...(await callFor(idle)), service: 'a', containerName: `${projectName}-once` };
    const id = await composeHands.runOneShot(call);
    expect(await docker('inspect', '--format={{.Id}}', call.containerName)).toBe(id);
    expect((await failure(composeHands.runOneShot(call))).message).toContain('already in use');
    await docker('rm', '--force', call.containerName);
  });

  test('a missing image is not pulled behind our back', async () => {
    const call = await callFor('services: { a: { image: "stacktest/none:1" } }');
    const error = await failure(composeHands.up({ ...call, flags: ['--pull=never'] }));
    expect(error.code).toBe('compose_failed');
    expect(error.message).toContain('stacktest/none:1');
  });

  test('down removes what up has made', async () => {
    await composeHands.up(await callFor(idle));
    await composeHands.down({ ...(await callFor(idle)), graceSeconds: 2 });
    expect(await docker('ps', '--all', '--quiet', '--filter', `label=com.docker.compose.project=${projectName}`)).toBe(
      '',
    );
  });

  test('volumes are made once and kept as they are', async () => {
    const volume = { name: `${projectName}_v`, labels: { 'appliance.name': projectName } };
    await composeHands.ensureVolume(volume);
    await composeHands.ensureVolume(volume);
    expect(await docker('volume', 'inspect', '--format={{index .Labels "appliance.name"}}', volume.name)).toBe(
      projectName,
    );
    await docker('volume', 'rm', volume.name);
  });
});

describe('what an interrupted call leaves', () => {
  test('leftovers of a recreate are removed, other containers are not', async () => {
    const labels = ['--label', `com.docker.compose.project=${projectName}`];
    const leftover = `0123456789ab_${projectName}-a-1`;
    await docker('create', '--name', leftover, ...labels, 'debian:trixie-slim');
    await docker('create', '--name', `${projectName}-a-1`, ...labels, 'debian:trixie-slim');
    expect(await composeHands.repairInterruptedRecreate(projectName)).toEqual([leftover]);
    expect(await composeHands.repairInterruptedRecreate(projectName)).toEqual([]);
    await docker('rm', '--force', `${projectName}-a-1`);
  });

  test('calls for the same project and directory are ended, others are not', async () => {
    const pretend = (...marks: string[]) =>
      spawn('sh', ['-c', 'sleep 60 & wait', ...marks], { stdio: 'ignore', detached: true });
    const marks = [`--project-name=${projectName}`, `--project-directory=${directory}`];
    const orphan = pretend(...marks);
    const foreign = pretend(`--project-name=${projectName}`, '--project-directory=/elsewhere');
    try {
      const ended = new Promise((resolve) => orphan.once('exit', (_, signal) => resolve(signal)));
      const endOrphans = () => composeHands.endOrphans(projectName, directory);
      // Its arguments may not be known to the kernel yet.
      await expect.poll(endOrphans, { timeout: 30_000 }).toBe(1);
      expect(await ended).toBe('SIGKILL');
      expect(foreign.exitCode).toBeNull();
      expect(foreign.signalCode).toBeNull();
    } finally {
      for (const { pid } of [orphan, foreign])
        if (pid)
          try {
            process.kill(-pid, 'SIGKILL');
          } catch {
            /* it has ended */
          }
    }
  });
});
