import { EventHub } from '../../src/agent/events.ts';
import { type OperationDeps, Operations } from '../../src/agent/operations.ts';
import type { Database } from '../../src/host/sqlite.ts';
import type { Clock } from '../../src/lib/clock.ts';
import type { ApplianceError } from '../../src/lib/errors.ts';
import { AuditLog } from '../../src/operations/audit.ts';
import { Journal } from '../../src/operations/journal.ts';
import { Runner } from '../../src/operations/runner.ts';
import type { StepType } from '../../src/operations/step.ts';

interface Wish extends Pick<OperationDeps, 'yieldingKinds' | 'turns'> {
  readonly clock: Clock;
  /** The one step that their plans are made of. */
  readonly step: Pick<StepType<never>, 'action' | 'bind'>;
  readonly urgent?: Iterable<string>;
  /** Throws by default. */
  readonly onError?: (error: ApplianceError) => void;
}

/** The operations of an agent that has just started on a state with journal and audit, and knows one step. */
export function operationsOf(database: Database, { clock, step, urgent = [], ...more }: Wish) {
  const journal = new Journal(database);
  const runner: Runner = new Runner({
    journal,
    clock,
    steps: new Map([[step.action, step]]),
    onEvent: (event) => operations.onRunnerEvent(event),
  });
  const operations: Operations = new Operations({
    journal,
    audit: new AuditLog(database),
    hub: new EventHub(),
    clock,
    runner,
    urgentKinds: new Set(urgent),
    rollouts: { hasBegun: () => false },
    verdictsOf: () => [],
    makeRoom: () => undefined,
    onError: (error) => {
      throw error;
    },
    ...more,
  });
  return { journal, operations };
}
