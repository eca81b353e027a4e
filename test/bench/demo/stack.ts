import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { type OperationResult, operationResultSchema, type Status, statusSchema } from '../../../src/api/schema.ts';
import { type Colour, otherColour } from '../../../src/lib/colour.ts';
import { Lab } from '../../support/appliance.ts';
import { buildMonitoring } from '../monitoring.ts';

const repository = resolve(import.meta.dirname, '../../..');
const name = 'benchtest';
const port = 28_380;

/** How often something is measured: the environment's BENCH_RUNS, else what the benchmark needs for its median. */
export function iterations(usual: number): number {
  const asked = Number(process.env.BENCH_RUNS);
  return Number.isInteger(asked) && asked > 0 ? asked : usual;
}

/** An operation as its caller saw it. */
export interface Timed {
  /** From the start of the command to its end, in seconds. */
  readonly seconds: number;
  readonly result: OperationResult;
}

/** The demo: a bundled program, its agent, and the reference application, watched, with v0.9 warm and v1.0 live. */
export class DemoStack {
  readonly lab: Lab;
  readonly #bundle: string;

  private constructor(lab: Lab, bundle: string) {
    this.lab = lab;
    this.#bundle = bundle;
  }

  /** Builds the program, starts it and deploys. What it made is gone again when that fails. */
  static async open(): Promise<DemoStack> {
    await buildMonitoring();
    const bundle = await mkdtemp(join(tmpdir(), `${name}-bundle-`));
    let stack: DemoStack | undefined;
    try {
      await execa(process.execPath, [join(repository, 'build.js'), '--outdir', bundle]);
      const entry = join(bundle, 'appliance.js');
      stack = new DemoStack(
        await Lab.make({ name, port, monitoring: port + 2, pool: '10.219.0.0/16', backups: true, entry }),
        bundle,
      );
      await stack.lab.startAgent();
      for (const tag of ['v0.9', 'v1.0']) await stack.operate('deploy', tag);
      return stack;
    } catch (error) {
      if (stack) await stack.close();
      else await rm(bundle, { recursive: true, force: true });
      throw error;
    }
  }

  async close(): Promise<void> {
    try {
      await this.lab.destroy();
    } finally {
      await rm(this.#bundle, { recursive: true, force: true });
    }
  }

  /**
   * Runs `deploy` or `rollback` and proves from outside that the release serves.
   * @throws Error when the command failed, or an answer came from another release
   */
  async operate(verb: 'deploy' | 'rollback', tag: string): Promise<Timed> {
    const started = performance.now();
    const { exitCode, stdout, stderr } = await this.lab.run([verb, tag, '--yes', '--json']);
    const seconds = (performance.now() - started) / 1_000;
    if (exitCode !== 0) throw new Error(`${verb} ${tag} ended with ${exitCode}: ${stderr || stdout.slice(-1_000)}`);
    for (let request = 0; request < 20; request += 1) {
      const answer = await fetch(`http://127.0.0.1:${port}/health`);
      const release = answer.headers.get('x-appliance-release');
      await answer.arrayBuffer();
      if (answer.status !== 200 || release !== tag)
        throw new Error(`after ${verb} ${tag} an answer was ${answer.status} of ${release}`);
    }
    const last: unknown = JSON.parse(stdout.trimEnd().split('\n').at(-1) ?? '');
    return { seconds, result: operationResultSchema.parse(last) };
  }

  async status(): Promise<Status> {
    return statusSchema.parse((await this.lab.json(['status'])).document);
  }

  /** The colour that gets no traffic. */
  async idleColour(): Promise<Colour> {
    const { release } = await this.status();
    if (!release) throw new Error('nothing is live');
    return otherColour(release.colour);
  }

  project(colour: Colour): string {
    return `${name}-${colour}`;
  }

  /** Removes every container of a colour, behind the back of the appliance. */
  async clear(colour: Colour): Promise<void> {
    const filter = `label=com.docker.compose.project=${this.project(colour)}`;
    const { stdout } = await execa('docker', ['ps', '--all', '--quiet', '--filter', filter]);
    const ids = stdout.split('\n').filter((id) => id !== '');
    if (ids.length > 0) await execa('docker', ['rm', '--force', '--volumes', ...ids]);
  }

  /**
   * What Compose alone takes for the same containers: `up --wait` of the colour's own project, from nothing.
   * @returns seconds
   */
  async boot(colour: Colour): Promise<number> {
    const directory = join(this.lab.root, 'lib/compose');
    const started = performance.now();
    await execa('docker', [
      ...['compose', '--project-name', this.project(colour), '--project-directory', directory],
      ...['--env-file', '/dev/null', '--file', join(directory, `${colour}.json`)],
      ...['up', '--detach', '--wait', '--no-build', '--pull=never'],
    ]);
    return (performance.now() - started) / 1_000;
  }
}
