import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Prometheus } from '../../../src/host/prometheus.ts';
import { FaultLab } from '../../faults/lab.ts';
import { buildMonitoring } from '../monitoring.ts';

const port = 28_384;
const prometheus = 28_386;
const answer = '  print $client';

/** Share of errors that is too much, from 0 to 1 (S2-13). */
export const threshold = 0.01;

const stages = 'canary: { stages: [{ weight: 50, for: 1h }, { weight: 100 }] }';
const policies = {
  watched: `name: watched
title: half of the traffic, judged by its errors
${stages}
gates: [{ id: S2-37, metric: errors, below: ${threshold} }]
rollback: [{ id: S2-13, metric: errors, above: ${threshold} }]
`,
  unwatched: `name: unwatched
title: half of the traffic until somebody calls it off
${stages}
gates: [{ id: anything, metric: errors, below: 0.99 }]
`,
};

/** An appliance with monitoring, a small application that is good, and bad releases of it on demand. */
export class RolloutStack {
  readonly lab: FaultLab;
  readonly url = `http://127.0.0.1:${port}/work`;
  readonly #failing: number;
  readonly #prometheus = new Prometheus(`http://127.0.0.1:${prometheus}`);
  #count = 0;

  private constructor(lab: FaultLab, failing: number) {
    this.lab = lab;
    this.#failing = failing;
  }

  /** @param failing share of its requests that a bad release fails, from 0 to 1 */
  static async open(failing: number): Promise<RolloutStack> {
    await buildMonitoring();
    const lab = await FaultLab.make({ name: 'benchrollout', port, pool: '10.220.0.0/16' });
    const stack = new RolloutStack(lab, failing);
    try {
      await stack.#start();
      return stack;
    } catch (error) {
      await stack.close();
      throw error;
    }
  }

  async #start(): Promise<void> {
    const listen = (name: string, at: number) => `${name}: { listen: "127.0.0.1:${at}" }`;
    await appendFile(
      this.lab.config,
      `monitoring: { ${listen('prometheus', prometheus)}, ${listen('alertmanager', prometheus + 1)} }\n`,
    );
    await mkdir(join(this.lab.root, 'etc/policies'));
    for (const [name, text] of Object.entries(policies))
      await writeFile(join(this.lab.root, `etc/policies/${name}.yaml`), text);
    await this.lab.startAgent();
    await this.lab.release('good', { schema: 1 });
    const { result, error } = await this.lab.operate('deploy', { tag: 'good' });
    if (result !== 'done') throw new Error(`the good release was not deployed: ${error?.message}`);
    for (let tries = 0; (await this.#scrapes()) < 2; tries += 1) {
      if (tries > 120) throw new Error('Prometheus does not read the metrics of the agent');
      await delay(1_000);
    }
  }

  close(): Promise<void> {
    return this.lab.destroy();
  }

  /** A new release that fails some of its requests, by chance; its health stays good. @returns its tag */
  async badRelease(): Promise<string> {
    this.#count += 1;
    const tag = `bad${this.#count}`;
    const server = await readFile(join(import.meta.dirname, '../../faults/app/server.pl'), 'utf8');
    const failing = server
      .replace('while (my $header', 'my $asked = ""; while (my $header')
      .replace('last if $header', '$asked ||= $header; last if $header')
      .replace(
        answer,
        `  my $is = $asked =~ m{ /work } && rand() < ${this.#failing} ? "500 Bad Luck" : $status;\n${answer}`,
      )
      .replace('HTTP/1.1 $status', 'HTTP/1.1 $is');
    await this.lab.release(tag, { schema: 1, files: { 'server.pl': failing } });
    return tag;
  }

  /** Errors among the requests of a release in the last minute, as Prometheus has it; 0 when it knows of none. */
  async errorRatio(tag: string): Promise<number> {
    const rate = (more: string) => `sum(rate(appliance_http_requests_total{release="${tag}"${more}}[1m]))`;
    const [ratio] = await this.#prometheus.query(`${rate(',code=~"5.."')} / ${rate('')}`);
    return Number.isFinite(ratio?.value) ? (ratio?.value ?? 0) : 0;
  }

  /** How often Prometheus has read the metrics of the good release. */
  async #scrapes(): Promise<number> {
    try {
      const [count] = await this.#prometheus.query(
        'max(count_over_time(appliance_http_requests_total{release="good"}[5m]))',
      );
      return count?.value ?? 0;
    } catch {
      // It starts beside the deploy, which does not wait for it.
      return 0;
    }
  }
}
