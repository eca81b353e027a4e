import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { runAgent } from '../../src/agent/main.ts';
import type { RunnerEvent } from '../../src/operations/runner.ts';
import { killOrderFile, killOrdersSchema } from './kill-order.ts';

// The real agent, which ends itself with SIGKILL when the file of kill orders in the appliance's root says so.
const root = process.env.APPLIANCE_ROOT ?? '';
const file = killOrderFile(root);

/** The step of the order has been begun: its end is the latest point to die. */
let struck = false;

function onTransition(event: RunnerEvent): void {
  if (event.kind === 'progress' || !existsSync(file)) return;
  const action = event.kind === 'planned' ? event.steps[0]?.action : event.step.action;
  const state = event.kind === 'planned' ? 'planned' : event.state;
  const [order, ...later] = killOrdersSchema.parse(JSON.parse(readFileSync(file, 'utf8')));
  if (!order || order.action !== action) return;
  if (order.position !== undefined && event.kind === 'step' && event.position !== order.position) return;
  const die = (): void => {
    writeFileSync(file, JSON.stringify(later));
    process.kill(process.pid, 'SIGKILL');
  };
  if (order.state !== state) {
    // The middle of a step that was quicker than expected: its end is late enough.
    if (struck) die();
  } else if (order.after === 0) die();
  else {
    struck = true;
    setTimeout(die, order.after);
  }
}

/** Milliseconds after which an agent has compiled what agents need. One that is killed could not leave that to the next. */
const warm = 8_000;
setTimeout(flushCompileCache, warm).unref();

process.exit(await runAgent({ root, onTransition }));
