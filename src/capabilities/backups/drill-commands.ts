import type { DatabaseCommands } from '../../config/backups.ts';
import type { Engine } from '../../host/docker.ts';
import type { Clock } from '../../lib/clock.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { count } from '../../lib/text.ts';
import type { Finding } from '../../lib/verdict.ts';
import type { BackupComponent } from './manifest.ts';
import { parseRows } from './postgres.ts';
import { rowDifferences } from './rows.ts';

/** Milliseconds until a server whose database is empty must answer. */
const startTimeout = 120_000;
const pause = 500;
/** How often in a row it must answer: images that prepare their database start it once only to stop it again. */
const answers = 3;

/** A service with commands of its own for dump and restore. */
export interface DeclaredService {
  readonly service: string;
  readonly container: string;
  readonly commands: DatabaseCommands;
}

export interface DrillCommandsDeps {
  readonly engine: Pick<Engine, 'startTwin' | 'execStream' | 'execFrom' | 'inspect' | 'remove'>;
  readonly clock: Clock;
  /** Labels by which its container is found again. */
  readonly labels: Readonly<Record<string, string>>;
  /** Bytes, and processors, that a server may use. */
  readonly memory: number;
  readonly processors: number;
  /** Milliseconds that its restore command may take. */
  readonly timeout: number;
}

/**
 * Restores a dump by the declared command into a server of the same image, command and environment, without network, volumes
 * and files of the host, and compares what its count command tells (S4-1, S4-53).
 * @param dump path of the restored file
 * @returns a finding; a text where such a server does not run alone, so that nothing can be said
 */
export async function drillCommands(
  { service, container, commands }: DeclaredService,
  component: BackupComponent,
  dump: string,
  deps: DrillCommandsDeps,
  { signal, progress }: { readonly signal: AbortSignal; progress(text: string): void },
): Promise<Finding | string> {
  const { engine, labels, memory, processors, timeout } = deps;
  const twin = await engine.startTwin(container, { labels, memory, processors });
  const alone = `${service}: its server does not run without network, volumes and files of the host`;
  if (twin === undefined) return alone;
  const id = `drill-${component.name}`;
  try {
    progress(`${service}: a fresh server starts`);
    if (!(await isReady(twin, commands, deps, signal))) return alone;
    progress(`${service}: its restore command runs`);
    const request = { argv: commands.restore, file: dump, timeout, signal };
    const { exitCode, stderr } = await engine.execFrom(twin, request);
    if (exitCode !== 0) {
      const said = stderr.trim().slice(-300) || 'it gave no reason';
      const observed = `its restore command ended with exit status ${exitCode}: ${said}`;
      const hint = `correct backups.databases.${service}.restore, or choose another snapshot: appliance backup list`;
      return { id, verdict: 'fail', observed, expected: 'its restore command loads it', hint };
    }
    return await counted(twin, commands, component, deps, signal);
  } finally {
    await engine.remove(twin);
  }
}

/** Whether the rows are those that were recorded, where they can be counted. */
async function counted(
  twin: string,
  { count: command }: DatabaseCommands,
  { name, rows }: BackupComponent,
  { engine, timeout }: DrillCommandsDeps,
  signal: AbortSignal,
): Promise<Finding> {
  const id = `drill-${name}`;
  if (!command || !rows)
    return { id, verdict: 'pass', observed: 'its restore command loads it; no count command says what is in it' };
  const { exitCode, stdout, stderr } = await engine.execStream(twin, { argv: command, timeout, signal });
  const expected = 'the rows that were recorded';
  if (exitCode !== 0)
    return { id, verdict: 'fail', observed: `its count command failed: ${stderr.trim().slice(-300)}`, expected };
  const seen = parseRows(stdout);
  const wrong = rowDifferences(rows, seen);
  if (wrong.length > 0) return { id, verdict: 'fail', observed: wrong.slice(0, 5).join('; '), expected };
  const total = Object.values(seen).reduce((sum, one) => sum + one, 0);
  const observed = `${count(Object.keys(seen).length, 'table')}, ${count(total, 'row')} as recorded`;
  return { id, verdict: 'pass', observed, samples: total };
}

/** Whether the server answers its own commands; an empty database can be counted, or dumped. */
export async function isReady(
  twin: string,
  { count: command, dump }: DatabaseCommands,
  { engine, clock }: Pick<DrillCommandsDeps, 'clock'> & { readonly engine: Pick<Engine, 'execStream' | 'inspect'> },
  signal: AbortSignal,
): Promise<boolean> {
  const until = clock.monotonic() + startTimeout;
  for (let inARow = 0; inARow < answers; ) {
    if (!(await engine.inspect(twin))?.running || clock.monotonic() > until) return false;
    const asked = engine.execStream(twin, { argv: command ?? dump, timeout: 30_000, signal });
    const exitCode = await asked.then(
      (answer) => answer.exitCode,
      (error: unknown) => {
        signal.throwIfAborted();
        if (error instanceof ApplianceError && error.code === 'engine_unreachable') throw error;
        return -1;
      },
    );
    inARow = exitCode === 0 ? inARow + 1 : 0;
    if (inARow < answers) await clock.sleep(pause, signal);
  }
  return true;
}
