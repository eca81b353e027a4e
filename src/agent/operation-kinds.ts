/** Kinds of operations whose failure leaves a certificate old. */
export const certificateKinds: ReadonlySet<string> = new Set([
  'certs-issue',
  'certs-renew',
  'certs-import',
  'certs-check',
]);

/** Kinds of operations that are finished, not taken back, when they were cut short. */
export const urgentKinds: ReadonlySet<string> = new Set([
  'recover',
  'rollback',
  'backup',
  'backup-prune',
  'model-rollback',
  'up',
  'down',
  'restart',
  'prune',
]);

/** Kinds that nobody waits for: the schedule takes such a look again. */
export const yieldingKinds: ReadonlySet<string> = new Set(['post-deploy']);

/** Kinds that are finished like those, but not at the price of the space that is kept back. */
export const finishedKinds: ReadonlySet<string> = new Set(['nightly']);
