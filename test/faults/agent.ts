import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { runAgent } from '../../src/agent/main.ts';
import type { RunnerEvent } from '../../src/operations/runner.ts';
import { killOrderFile, killOrdersSchema } from './kill-order.ts';

// The real agent, which ends itself with SIGKILL when the file of kill orders in the appliance's root says so.
const root = process.env.APPLIANCE_ROOT ?? '';
const file = killOrderFile(root);

function onTransition(event: RunnerEvent): void {
  if (event.kind === 'progress' || !existsSync(file)) return;
  const action = event.kind === 'planned' ? event.steps[0]?.action : event.step.action;
  const state = event.kind === 'planned' ? 'planned' : event.state;
  const [order, ...later] = killOrdersSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  if (!order || order.action !== action) return;
  const die = (): void => {
    writeFileSync(file, JSON.stringify(later));
    process.kill(process.pid, 'SIGKILL');
  };
  if (order.state === state && order.after > 0) setTimeout(die, order.after);
  // The middle of a step that was quicker than expected: its end is late enough.
  else if (order.state === state || order.after > 0) die();
}

process.exit(await runAgent({ root, onTransition }));
