import { rename, rm } from 'node:fs/promises';
import { ensureDirectory, readIfPresent, syncDirectory, writeFileAtomic } from '../../host/files.ts';
import { nothingListens } from '../../host/nginx.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { ensureTargets } from './certificates/link.ts';
import type { TrafficParts } from './deps.ts';
import { generationOf } from './render.ts';
import { servedSets } from './tls.ts';

/** Milliseconds for `nginx -t` and `nginx -s …` inside the container. */
const nginxTimeout = 20_000;
/** Milliseconds within which a reloaded nginx must answer with its new configuration. */
const reloadTimeout = 15_000;
/** Lists processes as files of /proc, by a pattern for their titles that does not fit itself. */
const titled = (pattern: string) => ['sh', '-c', `grep -lzxs '${pattern}' /proc/[0-9]*/cmdline`];
/** The workers that take requests. One that only ends what it has begun bears another title. */
const workers = titled('nginx[:] worker process');
/** Whatever there is of nginx: a worker bears the title of its master at first. */
const processes = titled('nginx[:] .*');
/** Consecutive answers of the new generation, each on a connection of its own, and the pause between them in ms. */
const steadyAnswers = 8;
const steadyPause = 25;

/** Removes what an earlier change left for its undo. */
export async function forget({ files }: TrafficParts): Promise<void> {
  await rm(files.pending, { force: true });
  await rm(files.previous, { force: true });
  await rm(files.next, { force: true });
}

/** Whether a change was installed that is not forgotten yet. */
export async function changed({ files }: TrafficParts): Promise<boolean> {
  return (await readIfPresent(files.pending)) !== undefined || (await readIfPresent(files.previous)) !== undefined;
}

/** Ends a change that nginx is known to serve; the previous configuration stays for undo. */
export async function settle({ files }: TrafficParts): Promise<void> {
  await rm(files.pending, { force: true });
}

/**
 * Asks nginx in the container about a new configuration, then puts it in place of the old one, which is kept for undo.
 * A crash leaves the old or the new one, both whole and accepted.
 * @throws ApplianceError `edge_refused` with nginx's own line; `edge_unreachable` when nothing runs there
 */
export async function install(parts: TrafficParts, text: string, signal: AbortSignal): Promise<void> {
  const { files } = parts;
  await ensureTargets(
    parts.paths,
    servedSets(parts.config).map(({ name }) => name),
  );
  await ensureDirectory(files.confDirectory);
  await writeCandidate(parts, text, signal);
  const current = await readIfPresent(files.conf);
  if (current !== undefined) await writeFileAtomic(files.previous, current);
  else await rm(files.previous, { force: true });
  await writeFileAtomic(files.pending, `${generationOf(text) ?? ''}\n`);
  await rename(files.next, files.conf);
  await syncDirectory(files.confDirectory);
}

/** Leaves a configuration beside the one in force, once nginx has accepted it. */
async function writeCandidate(parts: TrafficParts, text: string, signal: AbortSignal): Promise<void> {
  await writeFileAtomic(parts.files.next, text);
  try {
    await test(parts, signal);
  } catch (error) {
    await rm(parts.files.next, { force: true });
    throw error;
  }
}

/**
 * Asks nginx in the container about a configuration that is not to be put in place.
 * @throws ApplianceError as `install`
 */
export async function testCandidate(parts: TrafficParts, text: string, signal: AbortSignal): Promise<void> {
  await writeCandidate(parts, text, signal);
  await rm(parts.files.next, { force: true });
}

/** Puts the configuration before the last change back. @returns false when none is kept */
export async function restore({ files }: TrafficParts): Promise<boolean> {
  const previous = await readIfPresent(files.previous);
  if (previous === undefined) return false;
  await writeFileAtomic(files.conf, previous);
  return true;
}

async function test(parts: TrafficParts, signal: AbortSignal): Promise<void> {
  const { exitCode, stderr, stdout } = await parts.exec(['nginx', '-t', '-q', '-c', parts.files.nextInside], {
    signal,
    timeout: nginxTimeout,
  });
  if (exitCode === 0) return;
  const line = complaint(`${stderr}\n${stdout}`);
  if (line === undefined) throw notRunning(exitCode, `${stderr}${stdout}`);
  throw new ApplianceError('edge_refused', `nginx refuses the new configuration: ${line}`, {
    left: 'the old configuration stands and goes on serving',
    hint: 'look at routes and edge in appliance.yaml: appliance config check',
  });
}

/** nginx's own words about what it cannot accept. */
function complaint(output: string): string | undefined {
  return output
    .split('\n')
    .reverse()
    .find((line) => /\[(?:emerg|alert|crit)\]/.test(line))
    ?.replace(/^.*?\[(?:emerg|alert|crit)\]\s*(?:\d+#\d+:\s*)?/, '')
    .trim();
}

function notRunning(exitCode: number, output: string): ApplianceError {
  const said = output.trim().split('\n').at(-1) ?? '';
  return new ApplianceError(
    'edge_unreachable',
    `nginx could not be asked in its container (exit ${exitCode}): ${said}`,
    {
      left: 'the old configuration stands',
      hint: 'start the edge with: appliance up',
    },
  );
}

/** Generation that the running nginx answers with, or undefined when nothing listens. */
export async function runningGeneration({ control }: TrafficParts, signal: AbortSignal): Promise<string | undefined> {
  try {
    return (await control.status(signal)).generation;
  } catch (error) {
    if (nothingListens(error)) return undefined;
    throw error;
  }
}

/** A reload that nginx was asked for. Its answer says nothing about the workers. */
interface AskedReload {
  /** What nginx has complained of since, if it has. */
  complaint(): Promise<string | undefined>;
  /**
   * Waits until no worker from before takes requests any more. nginx lets old and new ones accept side by side for
   * 100 ms, and for as long as it takes on a busy machine.
   * @throws ApplianceError `edge_refused` when one of them goes on; `edge_unreachable` when no worker is seen
   */
  handedOver(): Promise<void>;
}

/**
 * Tells nginx to read its configuration and certificates again.
 * @throws ApplianceError `edge_refused`, `edge_unreachable`
 */
export async function askReload(parts: TrafficParts, signal: AbortSignal): Promise<AskedReload> {
  const { clock } = parts;
  const log = async () => (await readIfPresent(parts.files.errorLog)) ?? '';
  const logged = (await log()).length;
  const { found: before, failure } = await look(parts, processes, signal);
  if (before.length === 0) throw failure;
  const { exitCode, stdout, stderr } = await parts.exec(['nginx', '-s', 'reload'], { signal, timeout: nginxTimeout });
  if (exitCode !== 0) {
    const line = complaint(`${stderr}\n${stdout}`);
    throw line === undefined ? notRunning(exitCode, `${stderr}${stdout}`) : refusedOnReload(line);
  }
  const deadline = clock.monotonic() + reloadTimeout;
  const said = async () => complaint((await log()).slice(logged));
  return {
    complaint: said,
    handedOver: async () => {
      for (;;) {
        const { found, failure: none } = await look(parts, workers, signal);
        // None at all: the new ones have no title yet, or nobody could look.
        if (found.length > 0 && !found.some((worker) => before.includes(worker))) return;
        if (clock.monotonic() > deadline) {
          const stuck = `after ${reloadTimeout / 1_000} s its old workers still take requests`;
          throw found.length === 0 ? none : refusedOnReload((await said()) ?? stuck);
        }
        await clock.sleep(steadyPause, signal);
      }
    },
  };
}

/** @returns the processes of a list, and the error that it is when there are none */
async function look(
  parts: TrafficParts,
  list: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly found: readonly string[]; readonly failure: ApplianceError }> {
  const { exitCode, stdout, stderr } = await parts.exec(list, { signal, timeout: nginxTimeout });
  const found = stdout.split('\n').filter((line) => line.startsWith('/proc/'));
  return { found, failure: notRunning(exitCode, `${stderr}${stdout}`) };
}

/**
 * Makes nginx serve what stands on disk: reloads where it does not, and waits until the new workers answer.
 * @throws ApplianceError `edge_refused` when nginx goes on with the old one; `edge_unreachable` when it is not there
 */
export async function reload(parts: TrafficParts, generation: string, signal: AbortSignal): Promise<void> {
  const { clock } = parts;
  const asked = await askReload(parts, signal);
  await asked.handedOver();
  const deadline = clock.monotonic() + reloadTimeout;
  let steady = 0;
  while (steady < steadyAnswers) {
    const seen = await generationOrSilence(parts, signal);
    steady = seen === generation ? steady + 1 : 0;
    if (clock.monotonic() > deadline) {
      if (seen instanceof ApplianceError) throw seen;
      const line = await asked.complaint();
      throw refusedOnReload(line ?? `after ${reloadTimeout / 1_000} s it still answers with ${seen ?? 'nothing'}`);
    }
    await clock.sleep(steadyPause, signal);
  }
}

/** One answer may be late: workers that have just been started share the machine with those that end. */
async function generationOrSilence(
  parts: TrafficParts,
  signal: AbortSignal,
): Promise<string | undefined | ApplianceError> {
  try {
    return await runningGeneration(parts, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof ApplianceError && error.code === 'edge_unreachable') return error;
    throw error;
  }
}

function refusedOnReload(why: string): ApplianceError {
  return new ApplianceError('edge_refused', `nginx did not take the new configuration: ${why}`, {
    left: 'the old configuration goes on serving',
    hint: 'look at the log of the edge: appliance logs edge',
  });
}
