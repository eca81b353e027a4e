import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { execa } from 'execa';
import { type Appliance, openAppliance } from '../../src/agent/appliance.ts';
import type { Prepared } from '../../src/agent/operations.ts';
import { type RestoreComponent, RestorePlans } from '../../src/agent/restore-plans.ts';
import { openState } from '../../src/agent/state.ts';
import type { OperationResult } from '../../src/api/schema.ts';
import type { BackupKind } from '../../src/capabilities/backups/manifest.ts';
import { modelFiles } from '../../src/capabilities/models/layout.ts';
import { ModelRegistry } from '../../src/capabilities/models/registry.ts';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { type Paths, pathsFor } from '../../src/lib/paths.ts';
import { removeTraces } from './traces.ts';

interface LabOptions {
  readonly name: string;
  /** Section `backups` of appliance.yaml, as JSON. */
  readonly backups?: Readonly<Record<string, unknown>>;
  readonly clock?: Clock;
  /** Whether a PostgreSQL runs. */
  readonly postgres?: boolean;
}

const actor = { uid: 0, user: 'root', ssh: null };

/** An appliance without releases, with a real database server and a registry of models, whose backups are real. */
export class BackupLab {
  readonly name: string;
  readonly root: string;
  readonly paths: Paths;
  readonly #options: LabOptions;
  #open: Appliance | undefined;

  private constructor(options: LabOptions, root: string) {
    this.#options = options;
    this.name = options.name;
    this.root = root;
    this.paths = pathsFor(root);
  }

  static async make(options: LabOptions): Promise<BackupLab> {
    await removeTraces(options.name);
    const lab = new BackupLab(options, await mkdtemp(join(tmpdir(), `${options.name}-`)));
    await mkdir(lab.paths.etc, { recursive: true });
    await mkdir(lab.models, { recursive: true });
    await writeFile(join(lab.paths.etc, 'app.env'), 'DB_PASSWORD=planted-secret\n', { mode: 0o600 });
    await lab.configure(options.backups ?? {});
    if (options.postgres !== false) await lab.startPostgres();
    return lab;
  }

  get models(): string {
    return join(this.paths.lib, 'persistent/models');
  }

  get container(): string {
    return `${this.name}-postgres`;
  }

  async configure(backups: Readonly<Record<string, unknown>>): Promise<void> {
    const config = {
      name: this.name,
      source: { repository: '/nowhere', envFile: join(this.paths.etc, 'app.env') },
      services: { web: { role: 'app' }, postgres: { role: 'core' } },
      routes: [{ path: '/', service: 'web', port: 8000 }],
      backups,
    };
    await writeFile(this.paths.config, JSON.stringify(config));
  }

  async appliance(): Promise<Appliance> {
    this.#open ??= await openAppliance({
      paths: this.paths,
      clock: this.#options.clock ?? systemClock,
      database: openState(this.paths),
    });
    return this.#open;
  }

  /** As after the end of its process: the next call opens everything anew. */
  close(): void {
    this.#open?.close();
    this.#open = undefined;
  }

  /** Runs a backup as an operation, to its end. */
  async backup(
    kind: BackupKind = 'manual',
    more: { readonly offsite?: boolean; readonly acceptMissing?: boolean } = {},
  ): Promise<{ id: string; result: OperationResult }> {
    const appliance = await this.appliance();
    const { id, steps } = appliance.backups.plan({ kind, ...more });
    return { id, result: await this.run('backup', steps) };
  }

  /**
   * Runs a restore as an operation, to its end.
   * @throws ApplianceError where it is refused before it begins
   */
  async restore(
    snapshot: string,
    component: RestoreComponent = 'database',
    more: { readonly skipSafety?: boolean } = {},
  ): Promise<OperationResult> {
    const input = { snapshot, component, skipSafety: more.skipSafety ?? false, wait: 0 };
    const plans = new RestorePlans(await this.appliance());
    return this.#operate('restore', (signal) => plans.restore(input, signal));
  }

  run(kind: string, steps: Awaited<ReturnType<Appliance['backups']['plan']>>['steps']): Promise<OperationResult> {
    return this.#operate(kind, async () => ({ kind, target: null, origin: null, phases: [async () => steps] }));
  }

  /** As an agent does it: whoever comes second is refused before anything is planned. */
  async #operate(kind: string, prepare: (signal: AbortSignal) => Promise<Prepared>): Promise<OperationResult> {
    const { operations } = await this.appliance();
    const signal = AbortSignal.timeout(600_000);
    const wish = { kind, input: {}, actor, wait: 0 };
    for await (const event of operations.start(wish, () => prepare(signal), signal))
      if (event.event === 'operation-ended') return event.result;
    throw new Error('the operation never ended');
  }

  async startPostgres(): Promise<void> {
    await execa('docker', ['rm', '--force', '--volumes', this.container]);
    const environment = ['-e', 'POSTGRES_USER=app', '-e', 'POSTGRES_PASSWORD=planted-secret', '-e', 'POSTGRES_DB=app'];
    const labels = [`appliance.name=${this.name}`, 'appliance.role=core', 'appliance.service=postgres'];
    await execa('docker', [
      ...['run', '--detach', '--network', 'none', '--name', this.container, ...environment],
      ...labels.flatMap((label) => ['--label', label]),
      'appliance/postgres:17',
    ]);
    for (let tries = 0; (await this.sql('SELECT 1').catch((error) => String(error))) !== '1'; tries += 1) {
      if (tries === 300) throw new Error(`PostgreSQL does not answer: ${await this.sql('SELECT 1').catch(String)}`);
      await delay(300);
    }
  }

  async sql(text: string): Promise<string> {
    const argv = ['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-U', 'app', '-d', 'app', '-c', text];
    return (await execa('docker', ['exec', this.container, ...argv])).stdout.trim();
  }

  /** Registers a version with one artefact. */
  async addModel(label: string, content: Buffer): Promise<void> {
    const directory = join(modelFiles(this.models).versions, 'routing', label);
    await mkdir(directory, { recursive: true });
    const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
    const manifest = Buffer.from(
      JSON.stringify({ name: 'routing', version: label, files: { 'model.joblib': { sha256: sha256(content) } } }),
    );
    await writeFile(join(directory, 'model.joblib'), content);
    await writeFile(join(directory, 'manifest.json'), manifest);
    const registry = new ModelRegistry(this.models, { clock: systemClock, access: 'write' });
    try {
      registry.register(
        {
          name: 'routing',
          version: label,
          sha256: sha256(manifest),
          artefacts: [
            { path: 'manifest.json', sha256: sha256(manifest), bytes: manifest.length },
            { path: 'model.joblib', sha256: sha256(content), bytes: content.length },
          ],
          metrics: { accuracy: 0.9 },
          metadata: { features: ['a'], libraries: {}, algorithm: null, trainedAt: null },
          source: '/somewhere',
        },
        { actor: 'ada' },
      );
    } finally {
      registry.close();
    }
  }

  async destroy(): Promise<void> {
    this.close();
    await removeTraces(this.name);
    await rm(this.root, { recursive: true, force: true });
  }
}
