import type { OperationRecord } from './journal.ts';

/** Kinds after which the stack may stand between two releases. */
const stackKinds: ReadonlySet<string> = new Set(['deploy', 'rollback', 'up', 'down', 'restart']);

/** Next step once a person has mended what kept an operation from being taken back. */
export function mendedHint(operation: Pick<OperationRecord, 'kind' | 'target'>): string {
  // What is up is on record, and brought up again. All else is begun anew: what was left of it is in nobody's way.
  return stackKinds.has(operation.kind) ? 'type: appliance up' : againHint(operation);
}

/** Next step after an operation that was cut short. */
export function againHint({ kind, target }: Pick<OperationRecord, 'kind' | 'target'>): string {
  if (kind === 'recover') return 'type the command of the recovery again; it goes on where it was';
  return `type it again: appliance ${commandOf(kind, target ?? '')}`;
}

/** What a person types for an operation, without `appliance`. */
function commandOf(kind: string, target: string): string {
  const [first, second] = target.split(' ');
  const commands: Readonly<Record<string, string>> = {
    // A backup gets a new id, and what is up is on record.
    ...{ backup: 'backup now', up: 'up', nightly: 'schedule run backup' },
    ...{ 'backup-drill': `backup drill ${target}`, 'backup-prune': 'backup prune', prune: 'releases prune' },
    restore: `backup restore ${first}${second === undefined ? '' : ` --component ${second}`}`,
    drill: `alerts drill ${target}`,
  };
  const verb = kind.replace(/^certs-/, 'certs ').replace(/^model-/, 'models ');
  return commands[kind] ?? `${verb} ${target}`.trimEnd();
}
