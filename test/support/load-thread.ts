import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Load, type LoadOptions, type LoadReport } from './load.ts';

/**
 * A load from a thread of its own, so that what else this process does delays neither its requests nor its clock. `good`
 * cannot be passed to a thread: an answer is good with status 200 and a release header.
 */
export class ThreadedLoad {
  readonly #worker: Worker;

  constructor(options: Omit<LoadOptions, 'good'>) {
    this.#worker = new Worker(new URL(import.meta.url), { workerData: options });
  }

  async stop(): Promise<LoadReport> {
    this.#worker.postMessage('stop');
    const [report] = await once(this.#worker, 'message');
    await this.#worker.terminate();
    return report as LoadReport;
  }
}

if (!isMainThread && parentPort) {
  const port = parentPort;
  const load = new Load(workerData as LoadOptions);
  port.once('message', () => load.stop().then((report) => port.postMessage(report)));
}
