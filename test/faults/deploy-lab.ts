import { expect } from 'vitest';
import type { OperationResult } from '../../src/api/schema.ts';
import { expectConsistent } from './invariants.ts';
import { FaultLab, type LabOptions } from './lab.ts';
import { type DeathPoint, orderFor } from './matrix.ts';
import { expectNothingLost, startTraffic } from './traffic.ts';

/** A fault lab in which each deploy is of a version of its own that migrates the database, so each plan has every step. */
export class DeployLab {
  readonly lab: FaultLab;
  /** The tag that serves. */
  live = '';
  #count = 0;

  private constructor(lab: FaultLab) {
    this.lab = lab;
  }

  static async make(options: LabOptions): Promise<DeployLab> {
    const lab = await FaultLab.make(options);
    await lab.startAgent();
    return new DeployLab(lab);
  }

  /** A version that migrates the database, whatever was deployed before. @returns its tag */
  async nextVersion(about: { replicas?: number } = {}): Promise<string> {
    this.#count += 1;
    const tag = `a${this.#count}`;
    await this.lab.release(tag, { schema: this.#count, ...about });
    return tag;
  }

  async deployNext(): Promise<OperationResult> {
    const tag = await this.nextVersion();
    const result = await this.lab.operate('deploy', { tag });
    expect(result, JSON.stringify(result.error)).toMatchObject({ result: 'done' });
    this.live = tag;
    return result;
  }

  /** An earlier death may have left the other colour empty; then there would be nothing to clear. */
  async occupyBoth(): Promise<void> {
    if ((await this.lab.containers(await this.lab.idleColour())).length === 0) await this.deployNext();
  }

  /** Deploys under traffic, kills the agent, and asserts that the next one leaves the appliance as it should be. */
  async die(point: DeathPoint, tag: string, usual: OperationResult, about: { reload: boolean }): Promise<void> {
    const { lab, live: before } = this;
    const clients = startTraffic(lab);
    try {
      await lab.order(orderFor(point, usual));
      await lab.operateUntilDeath('deploy', { tag });
      await lab.startAgent();
      this.live = point.pivoted ? tag : before;
      await expectConsistent(lab, { tag: this.live, result: point.pivoted ? 'done' : 'failed' });
    } finally {
      await expectNothingLost(clients, { releases: point.pivoted ? [before, tag] : [before], ...about });
    }
  }

  /** Asserts that after all that the appliance deploys, ends and rolls back as ever. */
  async expectWorking(): Promise<void> {
    await this.deployNext();
    await expectConsistent(this.lab, { tag: this.live });
    expect(await this.lab.stopAgent()).toBe(0);
    const { exitCode, stderr } = await this.lab.run(['rollback', '--json']);
    expect(exitCode, stderr).toBe(0);
  }
}
