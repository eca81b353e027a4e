import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { OperationResult, Rollout } from '../../src/api/schema.ts';
import { Load } from '../support/load.ts';
import { FaultLab, type LabOptions } from './lab.ts';

const watched = 'every: 300ms, patience: 60s';
const judged = `
verifyRollback: { attempts: 30, every: 300ms }
gates: [{ id: few-errors, metric: errors, below: 0.1 }]
rollback: [{ id: many-errors, metric: errors, above: 0.2 }]
`;

const watchedAfter = (name: string, bake: string) => `
name: ${name}
title: one share of the traffic, then all of it under watch
canary:
  stages:
    - { weight: 40, for: 1s, minRequests: 20, ${watched} }
    - { weight: 100 }
bake: { for: ${bake}, ${watched} }
${judged}`;

/** Policies of seconds instead of hours: every duration is a value of the policy. */
const policies = {
  brief: watchedAfter('brief', '1s'),
  /** The watch over all of the traffic ends by errors alone: a second of it may pass before anybody has seen it begin. */
  wary: watchedAfter('wary', '10m'),
  patient: `
name: patient
title: a stage that ends when a person says so
canary:
  stages:
    - { weight: 40, for: 10m, ${watched} }
    - { weight: 100 }
${judged}`,
} as const;
export type PolicyName = keyof typeof policies;

/** Types of the steps of a rollout by the policy `brief`, from the first that only a rollout has to the last one. */
export const rolloutSteps = [
  'begin-rollout',
  'shift-traffic',
  'hold-stage',
  'shift-traffic',
  'record-live',
  'hold-stage',
];

/** What comes before them when the release is built already. */
export const stepsBefore = [
  'check-host',
  'resolve-release',
  'start-core',
  'start-colour',
  'wait-healthy',
  'configure-edge',
];

/** A fault lab whose releases are good at everything but `/broken`, which nobody asks for until a test wants an error. */
export class RolloutLab {
  readonly lab: FaultLab;
  /** The tag that serves, and the one that the next rollout is of. */
  live = 'g1';
  next = 'g2';

  private constructor(lab: FaultLab) {
    this.lab = lab;
  }

  static async make(options: LabOptions): Promise<RolloutLab> {
    const lab = await FaultLab.make(options);
    await mkdir(join(lab.root, 'etc/policies'));
    for (const [name, text] of Object.entries(policies))
      await writeFile(join(lab.root, `etc/policies/${name}.yaml`), text);
    const rollouts = new RolloutLab(lab);
    const server = await readFile(join(import.meta.dirname, 'app/server.pl'), 'utf8');
    const breakable = server
      .replace('while (my $header', 'my $asked = ""; while (my $header')
      .replace('last if $header', '$asked ||= $header; last if $header')
      .replace('  print $client', '  my $is = $asked =~ m{ /broken } ? "500 Broken" : $status;\n  print $client')
      .replace('HTTP/1.1 $status', 'HTTP/1.1 $is');
    await lab.startAgent();
    // Both are built here; from then on a rollout has the same steps each time.
    for (const tag of [rollouts.next, rollouts.live]) {
      await lab.release(tag, { schema: 1, files: { 'server.pl': breakable } });
      const { result, error } = await lab.operate('deploy', { tag });
      if (result !== 'done') throw new Error(`${tag} was not deployed: ${error?.message}`);
    }
    return rollouts;
  }

  /** Users, none of whom may ever see a failure. */
  users(): Load {
    return new Load({ port: this.lab.options.port, path: '/work', keepAlive: 4, fresh: 2, pause: 20 });
  }

  /** Requests that fail, on whichever release they meet. */
  errors(): Load {
    const { port } = this.lab.options;
    return new Load({ port, path: '/broken', keepAlive: 6, fresh: 0, pause: 20, good: (status) => status === 500 });
  }

  /** Begins a rollout. @returns how it ended; the error when its agent did */
  begin(policy: PolicyName): Promise<OperationResult | Error> {
    return this.lab.operate('deploy', { tag: this.next, policy }).catch((error: Error) => error);
  }

  /** The rollout that was under way has served: what was next is live. */
  served(): void {
    [this.live, this.next] = [this.next, this.live];
  }

  /** Waits until the running rollout is as it should be. */
  async until(what: (rollout: Rollout) => boolean): Promise<Rollout> {
    for (let last: unknown, deadline = Date.now() + 180_000; ; ) {
      const { rollout } = await this.lab.status();
      if (rollout && what(rollout)) return rollout;
      last = rollout ?? last;
      if (Date.now() > deadline) throw new Error(`it did not come to that: ${JSON.stringify(last)}`);
      await delay(50);
    }
  }
}
