import { createReadStream, existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine } from '../../host/docker.ts';
import type { Clock } from '../../lib/clock.ts';
import { ApplianceError } from '../../lib/errors.ts';
import type { Finding } from '../../lib/verdict.ts';
import type { BackupComponent } from './manifest.ts';
import { countRows, loadDatabase } from './restore-database.ts';
import { type RestoreServer, serverIn } from './restore-server.ts';
import { rowDifferences } from './rows.ts';

/** Milliseconds until a fresh server must answer, its first start included. */
const startTimeout = 180_000;
const pause = 250;
/** Milliseconds that accounts may take. */
const rolesTimeout = 60_000;
/** What nothing outside of the container can reach, and is gone in minutes. */
const password = 'of-a-drill';

export interface DrillServerDeps {
  readonly engine: Pick<Engine, 'startThrowaway' | 'execStream' | 'execFrom' | 'exec' | 'inspect' | 'remove'>;
  readonly clock: Clock;
  /** Labels by which its containers are found again. */
  readonly labels: Readonly<Record<string, string>>;
  /** Bytes, and processors, that a server may use. */
  readonly memory: number;
  readonly processors: number;
  /** Milliseconds that pg_restore may take. */
  readonly timeout: number;
}

/** A service of PostgreSQL as it runs today: the drill needs its image and superuser, nothing else. */
export interface DrilledService {
  readonly service: string;
  readonly image: string;
  readonly user: string;
}

/**
 * Restores every database of one service into a fresh server of the same image, and compares the rows (S4-1, S4-53).
 * @param directory what became of `/snapshot`
 * @returns a finding per database; `fail` says what the server, pg_restore or the counts said
 */
export async function drillDatabases(
  { service, image, user }: DrilledService,
  components: readonly BackupComponent[],
  directory: string,
  deps: DrillServerDeps,
  { signal, progress }: { readonly signal: AbortSignal; progress(text: string): void },
): Promise<Finding[]> {
  const { engine, labels, memory, processors } = deps;
  const id = await engine.startThrowaway({
    image,
    // Nothing of it must outlive a crash.
    argv: ['postgres', '-c', 'fsync=off', '-c', 'full_page_writes=off', '-c', 'synchronous_commit=off'],
    environment: { POSTGRES_USER: user, POSTGRES_DB: 'postgres', POSTGRES_PASSWORD: password },
    labels,
    memory,
    processors,
  });
  try {
    const server = serverIn(engine, { service, user, container: id });
    progress(`${service}: a fresh server starts`);
    await ready(id, user, deps, signal);
    await loadRoles(server, join(directory, 'databases', service, 'roles.sql'), signal);
    const findings: Finding[] = [];
    for (const component of components) {
      progress(`${service}: pg_restore of ${component.name}`);
      findings.push(await drillOne(server, component, join(directory, component.path), deps.timeout, signal));
    }
    return findings;
  } finally {
    await engine.remove(id);
  }
}

async function drillOne(
  server: RestoreServer,
  component: BackupComponent,
  dump: string,
  timeout: number,
  signal: AbortSignal,
): Promise<Finding> {
  const id = `drill-${component.name}`;
  const loaded = 'drill';
  try {
    await loadDatabase(server, { database: 'postgres', loaded, dump, timeout, signal });
    const seen = await countRows(server, loaded, signal);
    const wrong = rowDifferences(component.rows ?? {}, seen);
    const tables = Object.keys(seen).length;
    const rows = Object.values(seen).reduce((sum, count) => sum + count, 0);
    if (wrong.length === 0)
      return { id, verdict: 'pass', observed: `${tables} tables, ${rows} rows as recorded`, samples: rows };
    const observed = `${wrong.slice(0, 5).join('; ')}${wrong.length > 5 ? ` and ${wrong.length - 5} more` : ''}`;
    return { id, verdict: 'fail', observed, expected: 'the rows that were recorded' };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof ApplianceError) || error.code === 'engine_unreachable') throw error;
    const hint = 'choose another snapshot: appliance backup list';
    return { id, verdict: 'fail', observed: error.message, expected: 'pg_restore loads it', hint };
  }
}

/** Accounts that the dump names as owners; those that a fresh server has already are refused, which is right. */
async function loadRoles(server: RestoreServer, file: string, signal: AbortSignal): Promise<void> {
  if (!existsSync(file)) return;
  const argv = ['psql', '-X', '-q', '--no-password', '-U', server.user, '-d', 'postgres'];
  await server.exec(argv, { stdin: createReadStream(file), timeout: rolesTimeout, signal });
}

/** While an image makes its cluster, a server may answer on its socket only; the final one listens. */
async function ready(
  id: string,
  user: string,
  { engine, clock }: Pick<DrillServerDeps, 'engine' | 'clock'>,
  signal: AbortSignal,
): Promise<void> {
  const until = clock.monotonic() + startTimeout;
  for (;;) {
    const { exitCode } = await engine
      .exec(id, ['pg_isready', '-q', '-h', '127.0.0.1', '-U', user], { timeout: 10_000, signal })
      .catch(() => ({ exitCode: -1 }));
    if (exitCode === 0) return;
    const detail = await engine.inspect(id);
    if (!detail?.running)
      throw new ApplianceError(
        'not_measured',
        `a fresh server of the image ended with ${detail?.exitCode ?? 'nothing'}`,
      );
    if (clock.monotonic() > until)
      throw new ApplianceError('not_measured', `a fresh server did not answer within ${startTimeout / 1_000} s`);
    await clock.sleep(pause, signal);
  }
}
