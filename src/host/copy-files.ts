import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { type CopyJob, type CopyResult, copyFile } from './copy-file.ts';

/** Bytes from which on threads are worth starting (some 40 ms each). */
const worthThreads = 2 ** 25;
/** Hashing is as fast as two cores; more lanes would only take them from those who serve. */
const mostLanes = 2;

interface SizedJob extends CopyJob {
  /** About how large it is, in bytes; the largest are begun first. */
  readonly size: number;
}

type Answer = { readonly result: CopyResult } | { readonly message: string; readonly code?: string };

/**
 * Copies and hashes files on two threads, so that the agent goes on answering.
 * @returns a result for each job, in their order
 * @throws the error of the first file that fails, with its system code; what was copied until then is left there
 */
export async function copyFiles(jobs: readonly SizedJob[], signal: AbortSignal): Promise<CopyResult[]> {
  signal.throwIfAborted();
  const results = new Array<CopyResult>(jobs.length);
  const order = jobs.map((job, index) => ({ job, index })).sort((a, b) => b.job.size - a.job.size);
  const total = jobs.reduce((sum, { size }) => sum + size, 0);
  if (total < worthThreads) {
    for (const { job, index } of order) {
      signal.throwIfAborted();
      results[index] = await copyFile(job);
    }
    return results;
  }
  const queue = order.values();
  const lanes = Array.from(
    { length: Math.min(mostLanes, availableParallelism(), jobs.length) },
    () => new Worker(code),
  );
  const stop = () => lanes.map((lane) => lane.terminate());
  signal.addEventListener('abort', stop, { once: true });
  try {
    await Promise.all(
      lanes.map(async (lane) => {
        for (const { job, index } of queue) results[index] = await ask(lane, job, signal);
      }),
    );
    return results;
  } finally {
    signal.removeEventListener('abort', stop);
    await Promise.all(stop());
  }
}

/** Beside this module, in the source tree and in the bundle alike. */
const code = new URL(`./copy-worker.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url);

async function ask(lane: Worker, job: CopyJob, signal: AbortSignal): Promise<CopyResult> {
  const ended = new AbortController();
  try {
    const answered = once(lane, 'message', { signal: ended.signal });
    lane.postMessage(job);
    const gone = once(lane, 'exit', { signal: ended.signal }).then(() => undefined);
    const first = await Promise.race([answered, gone]);
    signal.throwIfAborted();
    if (first === undefined) throw new Error('the thread that copies has ended');
    const answer = first[0] as Answer;
    if ('result' in answer) return answer.result;
    throw Object.assign(new Error(answer.message), answer.code === undefined ? {} : { code: answer.code });
  } finally {
    ended.abort();
  }
}
