import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { z } from 'zod';
import type { Client } from '../../src/api/client.ts';
import type { Input } from '../../src/api/routes.ts';
import type { ApplianceEvent, OperationResult, Status } from '../../src/api/schema.ts';
import { connectSocket } from '../../src/api/socket.ts';
import { type ContainerSummary, Engine } from '../../src/host/docker.ts';
import { type Colour, otherColour } from '../../src/lib/colour.ts';
import { pathsFor } from '../../src/lib/paths.ts';
import { farFromNow } from '../support/night.ts';
import { removeTraces } from '../support/traces.ts';
import { type KillOrder, killOrderFile } from './kill-order.ts';

const app = join(import.meta.dirname, 'app');
const agentEntry = join(import.meta.dirname, 'agent.ts');
const cliEntry = join(import.meta.dirname, '../../src/main.ts');

/** What makes the command line end itself at a step: arguments of Node.js, and the environment. @param at `STEP STATE [MILLISECONDS]` */
export function dyingAt(at: string): { readonly execArgv: string[]; readonly env: Readonly<Record<string, string>> } {
  return {
    execArgv: ['--import', join(import.meta.dirname, 'dying-cli.ts')],
    env: { APPLIANCE_TEST_DIES_AT: at },
  };
}

const engine = new Engine();

/** Milliseconds within which an agent must have settled what was open. */
const settleTimeout = 180_000;

/** Milliseconds that a process which was killed may take to be gone. */
const lastBreath = 30_000;

const stepEventSchema = z.object({ event: z.literal('step'), name: z.string(), state: z.string() });

type OperationName = 'deploy' | 'rollback' | 'up' | 'down';

export interface LabOptions {
  /**
   * Name of the appliance. It, the port and the range are unique among tests: another one may run beside it, or have left
   * its containers when it was killed.
   */
  readonly name: string;
  /** Port of the edge for HTTP; HTTPS is the next one. */
  readonly port: number;
  /** Range for its networks. */
  readonly pool: string;
  /** Deploys make a backup first, as they do by default; without it they have a handful of steps less. */
  readonly backups?: boolean;
}

/** What a version of the test application does. */
export interface Version {
  /** Version of the database schema that it brings; it migrates only when the database is older. */
  readonly schema: number;
  readonly readableFrom?: number;
  /** Name of the service that answers requests, as appliance.yaml knows it by then; `backend` by default. */
  readonly service?: string;
  /** Containers of the service; another number means that the edge must be told other addresses. */
  readonly replicas?: number;
  /** Answers 503 to everything. */
  readonly sick?: boolean;
  /** Shell command of its migration. */
  readonly migration?: string;
  /** Text of its Dockerfile. */
  readonly dockerfile?: string;
  /** Further files of the repository. */
  readonly files?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** An appliance of its own with the smallest application that has every role, and an agent that can be killed. */
export class FaultLab {
  readonly root: string;
  readonly options: LabOptions;
  #agent: ChildProcess | undefined;

  private constructor(root: string, options: LabOptions) {
    this.root = root;
    this.options = options;
  }

  static async make(options: LabOptions): Promise<FaultLab> {
    await removeTraces(options.name);
    const lab = new FaultLab(await mkdtemp(join(tmpdir(), `${options.name}-`)), options);
    await cp(app, lab.repository, { recursive: true });
    await mkdir(join(lab.root, 'etc'));
    const values: Record<string, string> = {
      NAME: options.name,
      REPOSITORY: lab.repository,
      HTTP: String(options.port),
      HTTPS: String(options.port + 1),
      POOL: options.pool,
    };
    const config = fill(await readFile(join(app, 'appliance.yaml'), 'utf8'), values);
    const backups = { ...(options.backups ? {} : { beforeDeploy: 'never' }), ...farFromNow() };
    await writeFile(lab.config, `${config}backups: ${JSON.stringify(backups)}\n`);
    await lab.#git('init', '--quiet', '--initial-branch=main');
    return lab;
  }

  get repository(): string {
    return join(this.root, 'repository');
  }

  get config(): string {
    return join(this.root, 'etc/appliance.yaml');
  }

  /** Adds a version to the repository and gives it a tag. */
  async release(tag: string, version: Version): Promise<void> {
    const values: Record<string, string> = {
      TAG: tag,
      SERVICE: version.service ?? 'backend',
      SCHEMA: String(version.schema),
      READABLE_FROM: String(version.readableFrom ?? 1),
      REPLICAS: String(version.replicas ?? 2),
      SICK: version.sick ? 'yes' : '',
      MIGRATION: version.migration ?? `sleep 0.3; echo ${version.schema} >>/data/schema`,
    };
    await writeFile(
      join(this.repository, 'compose.yaml'),
      fill(await readFile(join(app, 'compose.yaml'), 'utf8'), values),
    );
    await writeFile(
      join(this.repository, 'Dockerfile'),
      version.dockerfile ?? (await readFile(join(app, 'Dockerfile'), 'utf8')),
    );
    await writeFile(join(this.repository, 'release.txt'), `${tag}\n`);
    for (const [name, text] of Object.entries(version.files ?? {})) await writeFile(join(this.repository, name), text);
    await this.#git('add', '--all');
    await this.#git('commit', '--quiet', '--message', tag);
    await this.#git('tag', tag);
  }

  /** Runs the command line. @param env added to the environment */
  async run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const result = await this.spawnCli(args, env);
    return { exitCode: result.exitCode ?? -1, stdout: result.stdout, stderr: result.stderr };
  }

  /** Begins to run the command line. */
  spawnCli(args: readonly string[], env: Readonly<Record<string, string>> = {}, execArgv: readonly string[] = []) {
    return execa(process.execPath, ['--no-warnings', ...execArgv, cliEntry, ...args], {
      reject: false,
      stdin: 'ignore',
      env: { APPLIANCE_ROOT: this.root, ...env },
      timeout: 300_000,
    });
  }

  /** Runs a command with --json that ends itself when it has told that a step has come to a state. @returns its signal */
  async dieAt(args: readonly string[], step: string, state: string): Promise<string | undefined> {
    const { env, execArgv } = dyingAt(`${step} ${state}`);
    return (await this.spawnCli([...args, '--json'], env, execArgv)).signal;
  }

  /** Begins a command with --json, and tells of each step that it reports. */
  async followCli(
    args: readonly string[],
    onStep: (name: string, state: string) => void,
    env: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const command = this.spawnCli([...args, '--json'], env);
    const lines: string[] = [];
    for await (const line of command) {
      lines.push(line);
      const event = stepEventSchema.safeParse(JSON.parse(line));
      if (event.success) onStep(event.data.name, event.data.state);
    }
    const { exitCode, stderr } = await command;
    return { exitCode: exitCode ?? -1, stdout: lines.join('\n'), stderr };
  }

  /** Starts the agent and waits until it listens. @param env added to the environment */
  async startAgent(env: Readonly<Record<string, string>> = {}): Promise<void> {
    const agent = this.#spawnAgent(env);
    for (let tries = 0; tries < 3_000; tries += 1) {
      const client = await connectSocket(pathsFor(this.root));
      if (client) return client.close();
      if (agent.exitCode !== null || agent.signalCode !== null) break;
      await delay(20);
    }
    throw new Error(`the agent did not start (exit ${agent.exitCode}, signal ${agent.signalCode})`);
  }

  /** Starts an agent that dies, as it was ordered to, while it settles what the one before it left. */
  async startAgentToDie(): Promise<void> {
    const agent = this.#spawnAgent({});
    const late = AbortSignal.timeout(settleTimeout);
    await once(agent, 'exit', { signal: late });
    if (agent.signalCode !== 'SIGKILL') throw new Error(`the agent ended with ${agent.exitCode}, not by its order`);
    this.#agent = undefined;
  }

  #spawnAgent(env: Readonly<Record<string, string>>): ChildProcess {
    if (this.#agent && this.#agent.exitCode === null && this.#agent.signalCode === null)
      throw new Error('the agent before it is still alive');
    this.#agent = spawn(process.execPath, ['--no-warnings', agentEntry], {
      env: { ...process.env, APPLIANCE_ROOT: this.root, ...env },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    return this.#agent;
  }

  /** Ends the agent, if there is one. @returns its exit status; null when a signal ended it */
  async stopAgent(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const agent = this.#agent;
    this.#agent = undefined;
    if (agent?.exitCode === null && agent.signalCode === null) {
      agent.kill(signal);
      await once(agent, 'exit');
    }
    return agent?.exitCode ?? null;
  }

  /** Says when the next agents kill themselves. */
  async order(...orders: readonly KillOrder[]): Promise<void> {
    await writeFile(killOrderFile(this.root), JSON.stringify(orders));
  }

  /** Asks the agent. */
  async client<T>(ask: (client: Client) => Promise<T>): Promise<T> {
    const client = await connectSocket(pathsFor(this.root));
    if (!client) throw new Error('no agent listens');
    try {
      return await ask(client);
    } finally {
      await client.close();
    }
  }

  status(): Promise<Status> {
    return this.client((client) => client.ask('status', {}));
  }

  /** The colour that gets no traffic. */
  async idleColour(): Promise<Colour> {
    return otherColour((await this.status()).release?.colour ?? 'green');
  }

  /** Containers of a colour, stopped ones included. */
  containers(colour: Colour): Promise<ContainerSummary[]> {
    return engine.containers([`appliance.name=${this.options.name}`, `appliance.colour=${colour}`]);
  }

  /** Waits until nothing runs any more, and the agent knows what does. */
  async settled(): Promise<Status> {
    const deadline = Date.now() + settleTimeout;
    for (;;) {
      const { operation, findings, ...status } = await this.status();
      if (operation === null && findings.every(({ id }) => id !== 'engine')) return { operation, findings, ...status };
      if (Date.now() > deadline) throw new Error(`not settled: ${JSON.stringify({ operation, findings })}`);
      await delay(50);
    }
  }

  /** Waits until the status is a pass again: the agent looks for a lost engine once a second. */
  async recovered(): Promise<void> {
    const deadline = Date.now() + 60_000;
    while ((await this.status()).verdict !== 'pass' && Date.now() < deadline) await delay(100);
  }

  /** Runs an operation in the agent to its end. @param onEvent is told of what happens meanwhile */
  async operate<Name extends OperationName>(
    name: Name,
    input: Input<Name>,
    onEvent: (event: ApplianceEvent) => void = () => undefined,
  ): Promise<OperationResult> {
    return this.client(async (client) => {
      for await (const event of client.stream(name, input)) {
        if (event.event === 'operation-ended') return event.result;
        onEvent(event);
      }
      throw new Error(`${name} ended without a result`);
    });
  }

  /** Begins an operation during which the agent is to die, and waits for its death. */
  async operateUntilDeath(name: 'deploy' | 'rollback' | 'up', input: Input<typeof name>): Promise<void> {
    const ended = this.operate(name, input).catch((error: unknown) => error);
    const agent = this.#agent;
    const told = await ended;
    // Its death ends the stream a moment before the process is gone.
    if (agent?.exitCode === null && agent.signalCode === null)
      await Promise.race([once(agent, 'exit'), delay(lastBreath, undefined, { ref: false })]);
    if (agent?.signalCode !== 'SIGKILL') throw new Error('the agent outlived its kill order', { cause: told });
    this.#agent = undefined;
  }

  /** Removes everything that the appliance made: containers, networks, volumes, images of its own name, files. */
  async destroy(): Promise<void> {
    await this.stopAgent('SIGKILL');
    await removeTraces(this.options.name);
    await rm(this.root, { recursive: true, force: true });
  }

  async #git(...args: string[]): Promise<void> {
    const identity = ['-c', 'user.name=test', '-c', 'user.email=test@example.com', '-c', 'commit.gpgsign=false'];
    await execa('git', ['-C', this.repository, ...identity, ...args]);
  }
}

function fill(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/@([A-Z_]+)@/g, (whole, key: string) => values[key] ?? whole);
}
