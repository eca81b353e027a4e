import type { Call, VerbName } from './catalog.ts';
import type { Session } from './session.ts';

/** What a verb does. @returns the exit status */
export type Handler<Name extends VerbName> = (call: Call<Name>, session: Session) => Promise<number>;

/** Verbs that need nothing but the catalogue are answered by `run.ts` itself. */
export type HandledVerb = Exclude<VerbName, 'help' | 'completion'>;

/** Each verb loads its own code only; the type asks for an entry per verb of the catalogue. */
export const handlers: { readonly [Name in HandledVerb]: () => Promise<Handler<Name>> } = {
  deploy: async () => (await import('./verbs/operations.ts')).deploy,
  plan: async () => (await import('./verbs/rollback.ts')).plan,
  pause: async () => (await import('./verbs/rollout.ts')).pause,
  resume: async () => (await import('./verbs/rollout.ts')).resume,
  promote: async () => (await import('./verbs/rollout.ts')).promote,
  abort: async () => (await import('./verbs/rollout.ts')).abort,
  rollback: async () => (await import('./verbs/rollback.ts')).rollback,
  releases: async () => (await import('./verbs/releases.ts')).list,
  'releases show': async () => (await import('./verbs/releases.ts')).show,
  'releases diff': async () => (await import('./verbs/releases.ts')).diff,
  'releases pin': async () => (await import('./verbs/releases.ts')).pin,
  'releases unpin': async () => (await import('./verbs/releases.ts')).unpin,
  'releases prune': async () => (await import('./verbs/operations.ts')).prune,
  follow: async () => (await import('./verbs/operations.ts')).follow,
  operations: async () => (await import('./verbs/operations.ts')).operations,
  status: async () => (await import('./verbs/status.ts')).status,
  up: async () => (await import('./verbs/operations.ts')).up,
  down: async () => (await import('./verbs/operations.ts')).down,
  restart: async () => (await import('./verbs/operations.ts')).restart,
  ps: async () => (await import('./verbs/status.ts')).ps,
  stats: async () => (await import('./verbs/stats.ts')).stats,
  logs: async () => (await import('./verbs/logs.ts')).logs,
  exec: async () => (await import('./verbs/exec.ts')).exec,
  init: async () => (await import('./verbs/init.ts')).init,
  'config check': async () => (await import('./verbs/config.ts')).check,
  'config show': async () => (await import('./verbs/config.ts')).show,
  'config schema': async () => (await import('./verbs/config.ts')).schema,
  'config policies': async () => (await import('./verbs/config.ts')).policies,
  'models list': async () => (await import('./verbs/models.ts')).list,
  'models show': async () => (await import('./verbs/models.ts')).show,
  'models add': async () => (await import('./verbs/models.ts')).add,
  'models verify': async () => (await import('./verbs/models.ts')).verify,
  'models history': async () => (await import('./verbs/models.ts')).history,
  'models diff': async () => (await import('./verbs/models.ts')).diff,
  'models archive': async () => (await import('./verbs/models.ts')).archive,
  'models import': async () => (await import('./verbs/models-archives.ts')).importModels,
  'models export': async () => (await import('./verbs/models-archives.ts')).exportModel,
  'models promote': async () => (await import('./verbs/models-promote.ts')).promote,
  'models rollback': async () => (await import('./verbs/models-promote.ts')).rollback,
  'models retrain': async () => (await import('./verbs/models-promote.ts')).retrain,
  'models scan': async () => (await import('./verbs/models-promote.ts')).scan,
  alerts: async () => (await import('./verbs/alerts.ts')).list,
  'alerts list': async () => (await import('./verbs/alerts.ts')).list,
  'alerts test': async () => (await import('./verbs/alerts.ts')).test,
  'alerts drill': async () => (await import('./verbs/alerts.ts')).drill,
  'alerts silence': async () => (await import('./verbs/alerts.ts')).silence,
  'alerts unsilence': async () => (await import('./verbs/alerts.ts')).unsilence,
  'alerts ack': async () => (await import('./verbs/alerts.ts')).ack,
  audit: async () => (await import('./verbs/audit.ts')).audit,
  'audit verify': async () => (await import('./verbs/audit.ts')).verify,
  agent: async () => (await import('./verbs/agent.ts')).agent,
  version: async () => (await import('./verbs/agent.ts')).version,
};
