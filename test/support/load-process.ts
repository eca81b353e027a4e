import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Load, type LoadOptions, type LoadReport } from './load.ts';

/**
 * A load from a process of its own, which goes before everything else, as clients on another machine would: what is measured is how
 * long the host takes to answer, not how long its processors keep the clients from asking. `good` cannot be passed to a
 * process: an answer is good with status 200 and a release header.
 */
export class ForeignLoad {
  readonly #child: ChildProcess;

  constructor(options: Omit<LoadOptions, 'good'>) {
    this.#child = fork(import.meta.filename, [JSON.stringify(options)], {
      execPath: 'chrt',
      execArgv: ['--rr', '1', process.execPath, '--no-warnings'],
      serialization: 'advanced',
    });
  }

  async stop(): Promise<LoadReport> {
    const answered = once(this.#child, 'message');
    const ended = once(this.#child, 'exit').then(([code]) => Promise.reject(new Error(`the load ended with ${code}`)));
    this.#child.send('stop');
    const [report] = await Promise.race([answered, ended]);
    ended.catch(() => undefined);
    this.#child.kill();
    return report as LoadReport;
  }
}

if (process.argv[1] === import.meta.filename) {
  const load = new Load(JSON.parse(process.argv[2] ?? '') as LoadOptions);
  process.once('message', () => load.stop().then((report) => process.send?.(report)));
}
