import type { AlertDraft } from './own-alerts.ts';

/** What the end of an operation is known by. */
export interface EndedOperation {
  readonly kind: string;
  readonly from: string | null;
  readonly to: string | null;
  readonly result: 'done' | 'failed' | 'rolled_back' | 'manual';
  readonly actor: string;
  readonly why: string | undefined;
  readonly hint: string | undefined;
}

export interface AlertChange {
  /** Names of alerts that this makes history. */
  readonly resolve: readonly string[];
  readonly raise: readonly AlertDraft[];
}

/** How long news stays news, in milliseconds. */
const news = 15 * 60_000;
/** Operations that change what users get; the others are nobody else's business. */
const telling: ReadonlySet<string> = new Set(['deploy', 'rollback']);
/** Those that have brought the machine into order again when they are done: they answer the call for a person. */
const settling: ReadonlySet<string> = new Set([...telling, 'up', 'model-promote', 'model-rollback']);

/** Which alerts an operation raises when it ends, and which it makes history. Pure. */
export function alertsOf(operation: EndedOperation): AlertChange {
  const { kind, to, from, result, actor, why, hint } = operation;
  if (result === 'manual') {
    const summary = `${kind}${to ? ` ${to}` : ''} stopped half-way and needs a person: ${why ?? 'see the journal'}`;
    return { resolve: [], raise: [{ name: 'ManualIntervention', severity: 'critical', summary, hint }] };
  }
  const answered = result === 'done' && settling.has(kind) ? ['ManualIntervention'] : [];
  if (!telling.has(kind)) return { resolve: answered, raise: [] };
  if (result !== 'done') {
    const name = kind === 'deploy' ? 'DeployFailed' : 'RollbackFailed';
    const back = result === 'rolled_back' ? ` and was taken back${from ? ` to ${from}` : ''}` : '';
    const summary = `${kind} ${to ?? ''} by ${actor} failed${back}: ${why ?? 'see appliance operations'}`;
    return { resolve: [], raise: [{ name, severity: 'warning', summary, hint, labels: { target: to ?? '' } }] };
  }
  const summary =
    kind === 'deploy'
      ? `${to} is live${from && from !== to ? `, was ${from}` : ''}; deployed by ${actor}`
      : `back on ${to}${from && from !== to ? `, was ${from}` : ''}; rolled back by ${actor}`;
  return {
    resolve: [...answered, 'DeployFailed', 'RollbackFailed', 'Deployed', 'RollbackDone'],
    raise: [
      // S4-37: deployments are news. A rollback means that something was wrong.
      {
        name: kind === 'deploy' ? 'Deployed' : 'RollbackDone',
        severity: kind === 'deploy' ? 'info' : 'warning',
        summary,
        labels: { target: to ?? '' },
        lasts: news,
      },
    ],
  };
}
