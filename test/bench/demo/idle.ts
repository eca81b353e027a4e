import { setTimeout as delay } from 'node:timers/promises';
import { type Row, range } from '../row.ts';
import { cpuSeconds, enginePids, memoryOf } from './processes.ts';
import { type DemoStack, iterations } from './stack.ts';

/** Length of one look, in milliseconds; three of them make the minute that the target speaks of. */
const window = 20_000;
/** What starting or stopping an agent may still stir up, in milliseconds. */
const settling = 4_000;

/**
 * What the agent costs while nothing happens but the healthchecks of the demo. Looks with it and without it take turns,
 * so that whatever else the host does falls on both.
 */
export async function measureIdle(stack: DemoStack): Promise<Row[]> {
  const engine = await enginePids();
  const agentShares: number[] = [];
  const resident: number[] = [];
  const anonymous: number[] = [];
  const withAgent: number[] = [];
  const withoutAgent: number[] = [];
  for (let round = 0; round < iterations(3); round += 1) {
    // Before the first look it has done all the other work of this benchmark; a fresh one is smaller.
    const pid = await runningAgent(stack);
    await delay(settling);
    const [agent, busy] = await Promise.all([look([pid]), look(engine)]);
    agentShares.push(agent);
    withAgent.push(busy);
    const memory = await memoryOf(pid);
    resident.push(memory.resident / 1e6);
    anonymous.push(memory.anonymous / 1e6);
    await stack.lab.stopAgent();
    await delay(settling);
    withoutAgent.push(await look(engine));
    await stack.lab.startAgent();
  }
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const ratio = mean(withAgent) / mean(withoutAgent);
  const looks = `${agentShares.length} × ${window / 1_000} s`;
  return [
    {
      name: 'agent idle with the demo, of one core',
      value: mean(agentShares),
      unit: '%',
      spread: `${range(agentShares)} in ${looks}`,
      target: '≤ 1 %',
      met: mean(agentShares) <= 1,
    },
    {
      name: 'agent idle with the demo, resident memory',
      value: Math.max(...resident),
      unit: 'MB',
      spread: `${range(resident, 0)}, of it its own ${range(anonymous, 0)}`,
      target: '≤ 120 MB',
      met: Math.max(...resident) <= 120,
    },
    {
      name: 'engine (dockerd, containerd) with an idle agent, of one core',
      value: mean(withAgent),
      unit: '%',
      rival: { name: 'no agent', value: mean(withoutAgent) },
      ratio,
      spread: `${range(withAgent)} and ${range(withoutAgent)} in ${looks}`,
      target: '≤ 1.10 of it',
      met: ratio <= 1.1,
    },
  ];
}

async function runningAgent(stack: DemoStack): Promise<number> {
  const { agent } = await stack.status();
  if (!agent.running || agent.pid === null) throw new Error('no agent is running');
  return agent.pid;
}

/** Percent of one core that processes together use in the next while. */
async function look(pids: readonly number[]): Promise<number> {
  const used = async () => (await Promise.all(pids.map(cpuSeconds))).reduce((sum, seconds) => sum + seconds, 0);
  const started = performance.now();
  const before = await used();
  await delay(window);
  return (100 * ((await used()) - before)) / ((performance.now() - started) / 1_000);
}
