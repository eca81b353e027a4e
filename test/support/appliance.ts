import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { farFromNow } from './night.ts';
import { removeTraces } from './traces.ts';

const project = resolve(import.meta.dirname, '../..');
const source = join(project, 'src/main.ts');

export interface Answer {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface LabOptions {
  /**
   * Name of the appliance. It, the port and the range are unique among tests: another one may run beside it, or have left
   * its containers when it was killed.
   */
  readonly name: string;
  /** Port of the edge for HTTP; HTTPS is the next one. */
  readonly port: number;
  /** Range for its networks, for example `10.217.0.0/16`. */
  readonly pool: string;
  /** Port of Prometheus; Alertmanager has the next one. Without it nothing watches. */
  readonly monitoring?: number;
  /** Whether deploys begin with a backup, as they do by default: seconds that only tests of backups spend. */
  readonly backups?: true;
  /** Changes the text of appliance.yaml. */
  readonly edit?: (yaml: string) => string;
  /** File to run; the source by default, `appliance.js` of a bundle where it matters how long it takes to start. */
  readonly entry?: string;
}

/** An appliance of its own under a temporary root, with the reference application, driven through its command line. */
export class Lab {
  readonly root: string;
  readonly options: LabOptions;
  #agent: ChildProcess | undefined;

  private constructor(root: string, options: LabOptions) {
    this.root = root;
    this.options = options;
  }

  static async make(options: LabOptions): Promise<Lab> {
    await removeTraces(options.name);
    const root = await mkdtemp(join(tmpdir(), `${options.name}-`));
    const lab = new Lab(root, options);
    const etc = join(root, 'etc');
    await mkdir(etc);
    await execa(join(project, 'compose/routing-ml/make-repository.sh'), [lab.repository]);
    await execa(join(project, 'compose/routing-ml/make-env.sh'), [join(etc, 'routing-ml.env')]);
    const template = await readFile(join(project, 'compose/routing-ml/appliance.yaml'), 'utf8');
    const [application = '', monitoring = ''] = template.split(/^(?=# Prometheus on )/m);
    const yaml = (
      options.monitoring === undefined ? application : application + listeningOn(monitoring, options.monitoring)
    )
      .replace(/^name: .*$/m, `name: ${options.name}`)
      .replace('@REPOSITORY@', lab.repository)
      .replace('@ENV_FILE@', join(etc, 'routing-ml.env'))
      .replace(/^edge: \{/m, `$& http: "127.0.0.1:${options.port}", https: "127.0.0.1:${options.port + 1}",`)
      .concat(`\nnetwork: { pool: ${options.pool} }\n`)
      .concat(
        `backups: ${JSON.stringify({ ...(options.backups ? {} : { beforeDeploy: 'never' }), ...farFromNow() })}\n`,
      );
    await writeFile(lab.config, options.edit?.(yaml) ?? yaml);
    return lab;
  }

  /** The program. */
  get entry(): string {
    return this.options.entry ?? source;
  }

  get repository(): string {
    return join(this.root, 'repository');
  }

  get config(): string {
    return join(this.root, 'etc/appliance.yaml');
  }

  /** Runs the command line. @param env added to the environment */
  async run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const result = await execa(process.execPath, ['--no-warnings', this.entry, ...args], {
      reject: false,
      stdin: 'ignore',
      env: { APPLIANCE_ROOT: this.root, ...env },
      timeout: 170_000,
    });
    // Without its last words nobody could say what it was waiting for.
    if (result.timedOut)
      throw new Error(`appliance ${args.join(' ')} took longer than 170 s: ${result.stderr.slice(-2_000)}`);
    return { exitCode: result.exitCode ?? -1, stdout: result.stdout, stderr: result.stderr };
  }

  /** The last JSON document of a command. */
  async json(
    args: readonly string[],
  ): Promise<{ exitCode: number; document: Record<string, unknown>; documents: unknown[] }> {
    const { exitCode, stdout } = await this.run([...args, '--json']);
    const documents: unknown[] = stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
    const last = documents.at(-1);
    return { exitCode, documents, document: typeof last === 'object' && last !== null ? { ...last } : {} };
  }

  async startAgent(env: Readonly<Record<string, string>> = {}): Promise<ChildProcess> {
    const agent = spawn(process.execPath, ['--no-warnings', this.entry, 'agent', '--foreground'], {
      env: { ...process.env, APPLIANCE_ROOT: this.root, ...env },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    this.#agent = agent;
    for (let tries = 0; tries < 100; tries += 1) {
      if ((await this.run(['agent'])).exitCode === 0) return agent;
      if (agent.exitCode !== null) break;
      await delay(100);
    }
    throw new Error('the agent did not start');
  }

  async stopAgent(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const agent = this.#agent;
    this.#agent = undefined;
    if (!agent || agent.exitCode !== null || agent.signalCode !== null) return;
    agent.kill(signal);
    await once(agent, 'exit');
  }

  /** Removes everything that the appliance made: containers, networks, volumes, images of its own name, files. */
  async destroy(): Promise<void> {
    await this.stopAgent();
    await removeTraces(this.options.name);
    await rm(this.root, { recursive: true, force: true });
  }
}

function listeningOn(monitoring: string, port: number): string {
  const listen = (name: string, at: number) => `\n  ${name}: { listen: "127.0.0.1:${at}" }`;
  return monitoring.replace('monitoring:', `$&${listen('prometheus', port)}${listen('alertmanager', port + 1)}`);
}
