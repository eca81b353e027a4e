/**
 * Where each request goes, as plain data: the command line reads this table and nothing else, because loading zod would
 * cost it more time than the whole request. `routes.ts` joins the same entries with what goes in and what comes out.
 */
export interface Endpoint {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** `viewer`: both sockets. `operator`: the operator socket only. */
  readonly access: 'viewer' | 'operator';
  /** One document, or one document per line until the end. */
  readonly stream: boolean;
  /** One document, for which there is no deadline: the work grows with the data, or waits for its turn. */
  readonly unhurried?: true;
}

export const endpoints = {
  status: { method: 'GET', path: '/status', access: 'viewer', stream: false },
  ping: { method: 'GET', path: '/ping', access: 'viewer', stream: false },
  ps: { method: 'GET', path: '/ps', access: 'viewer', stream: false },
  stats: { method: 'POST', path: '/stats', access: 'viewer', stream: true },
  logs: { method: 'POST', path: '/logs', access: 'viewer', stream: true },
  events: { method: 'GET', path: '/events', access: 'viewer', stream: true },
  follow: { method: 'POST', path: '/operations/follow', access: 'viewer', stream: true },
  operations: { method: 'GET', path: '/operations', access: 'viewer', stream: false },
  releases: { method: 'GET', path: '/releases', access: 'viewer', stream: false },
  release: { method: 'POST', path: '/releases/show', access: 'viewer', stream: false },
  diff: { method: 'POST', path: '/releases/diff', access: 'viewer', stream: false },
  bundleCreate: { method: 'POST', path: '/bundles/create', access: 'operator', stream: true },
  bundleLoad: { method: 'POST', path: '/bundles/load', access: 'operator', stream: true },
  pin: { method: 'POST', path: '/releases/pin', access: 'operator', stream: false },
  plan: { method: 'POST', path: '/plan', access: 'viewer', stream: false },
  planRollback: { method: 'POST', path: '/plan/rollback', access: 'viewer', stream: false },
  planRestore: { method: 'POST', path: '/plan/restore', access: 'viewer', stream: false, unhurried: true },
  backups: { method: 'GET', path: '/backups', access: 'viewer', stream: false, unhurried: true },
  backupShow: { method: 'POST', path: '/backups/show', access: 'viewer', stream: false, unhurried: true },
  backupNow: { method: 'POST', path: '/backups/now', access: 'operator', stream: true },
  backupVerify: { method: 'POST', path: '/backups/verify', access: 'operator', stream: false, unhurried: true },
  backupProtect: { method: 'POST', path: '/backups/protect', access: 'operator', stream: false, unhurried: true },
  backupKey: { method: 'POST', path: '/backups/key', access: 'operator', stream: false, unhurried: true },
  backupProve: { method: 'POST', path: '/backups/key/prove', access: 'operator', stream: false, unhurried: true },
  backupExport: { method: 'POST', path: '/backups/export', access: 'operator', stream: false, unhurried: true },
  backupPrune: { method: 'POST', path: '/backups/prune', access: 'operator', stream: true },
  backupDrill: { method: 'POST', path: '/backups/drill', access: 'operator', stream: true },
  backupRecover: { method: 'POST', path: '/backups/recover', access: 'operator', stream: true },
  backupRestore: { method: 'POST', path: '/backups/restore', access: 'operator', stream: true },
  approvals: { method: 'POST', path: '/approvals', access: 'viewer', stream: false },
  approve: { method: 'POST', path: '/approvals/give', access: 'operator', stream: false },
  questions: { method: 'POST', path: '/questions', access: 'viewer', stream: false },
  signoff: { method: 'POST', path: '/signoff', access: 'operator', stream: false },
  report: { method: 'POST', path: '/report', access: 'viewer', stream: false },
  deploy: { method: 'POST', path: '/deploy', access: 'operator', stream: true },
  pause: { method: 'POST', path: '/rollout/pause', access: 'operator', stream: false },
  resume: { method: 'POST', path: '/rollout/resume', access: 'operator', stream: false },
  promote: { method: 'POST', path: '/rollout/promote', access: 'operator', stream: false },
  abort: { method: 'POST', path: '/rollout/abort', access: 'operator', stream: false },
  rollback: { method: 'POST', path: '/rollback', access: 'operator', stream: true },
  up: { method: 'POST', path: '/up', access: 'operator', stream: true },
  down: { method: 'POST', path: '/down', access: 'operator', stream: true },
  restart: { method: 'POST', path: '/restart', access: 'operator', stream: true },
  prune: { method: 'POST', path: '/releases/prune', access: 'operator', stream: true },
  exec: { method: 'POST', path: '/exec', access: 'operator', stream: false },
  alerts: { method: 'GET', path: '/alerts', access: 'viewer', stream: false },
  alertsTest: { method: 'POST', path: '/alerts/test', access: 'operator', stream: false },
  alertsDrill: { method: 'POST', path: '/alerts/drill', access: 'operator', stream: true },
  alertsSilence: { method: 'POST', path: '/alerts/silence', access: 'operator', stream: false },
  alertsUnsilence: { method: 'POST', path: '/alerts/unsilence', access: 'operator', stream: false },
  alertsRaise: { method: 'POST', path: '/alerts/raise', access: 'operator', stream: false },
  alertsResolve: { method: 'POST', path: '/alerts/resolve', access: 'operator', stream: false },
  alertsAck: { method: 'POST', path: '/alerts/ack', access: 'operator', stream: false },
  models: { method: 'POST', path: '/models', access: 'viewer', stream: false },
  modelsShow: { method: 'POST', path: '/models/show', access: 'viewer', stream: false },
  modelsAdd: { method: 'POST', path: '/models/add', access: 'operator', stream: false, unhurried: true },
  modelsVerify: { method: 'POST', path: '/models/verify', access: 'viewer', stream: false, unhurried: true },
  modelsRepair: { method: 'POST', path: '/models/repair', access: 'operator', stream: false, unhurried: true },
  modelsHistory: { method: 'POST', path: '/models/history', access: 'viewer', stream: false },
  modelsDiff: { method: 'POST', path: '/models/diff', access: 'viewer', stream: false },
  modelsArchive: { method: 'POST', path: '/models/archive', access: 'operator', stream: false, unhurried: true },
  modelsImport: { method: 'POST', path: '/models/import', access: 'operator', stream: false, unhurried: true },
  modelsExport: { method: 'POST', path: '/models/export', access: 'operator', stream: false, unhurried: true },
  modelsPromote: { method: 'POST', path: '/models/promote', access: 'operator', stream: true },
  modelsRollback: { method: 'POST', path: '/models/rollback', access: 'operator', stream: true },
  modelsRetrain: { method: 'POST', path: '/models/retrain', access: 'operator', stream: true },
  modelsScan: { method: 'POST', path: '/models/scan', access: 'operator', stream: false, unhurried: true },
  schedule: { method: 'GET', path: '/schedule', access: 'viewer', stream: false },
  scheduleRun: { method: 'POST', path: '/schedule/run', access: 'operator', stream: true },
  certs: { method: 'GET', path: '/certs', access: 'viewer', stream: false },
  certsIssue: { method: 'POST', path: '/certs/issue', access: 'operator', stream: true },
  certsRenew: { method: 'POST', path: '/certs/renew', access: 'operator', stream: true },
  certsImport: { method: 'POST', path: '/certs/import', access: 'operator', stream: true },
  certsDryRun: { method: 'POST', path: '/certs/dry-run', access: 'operator', stream: true },
  check: { method: 'POST', path: '/check', access: 'viewer', stream: true },
  checkVerdicts: { method: 'GET', path: '/check/verdicts', access: 'viewer', stream: false },
  /** On the read-only socket nothing is tried that sends more than a plain request. */
  doctor: { method: 'POST', path: '/doctor', access: 'viewer', stream: true },
  supportBundle: { method: 'POST', path: '/support-bundle', access: 'viewer', stream: true },
  doctorFix: { method: 'POST', path: '/doctor/fix', access: 'operator', stream: true },
  configShow: { method: 'GET', path: '/config', access: 'viewer', stream: false },
  /** What `appliance self-update` has done, for the audit. */
  selfUpdate: { method: 'POST', path: '/self-update', access: 'operator', stream: false },
  audit: { method: 'POST', path: '/audit', access: 'viewer', stream: false },
  /** Adds to the audit what `ssh-gate` has refused to whoever asks: for keys that may only look, too. */
  gateRefused: { method: 'POST', path: '/gate/refused', access: 'viewer', stream: false },
  auditVerify: { method: 'POST', path: '/audit/verify', access: 'viewer', stream: false },
} as const satisfies Record<string, Endpoint>;

export type EndpointName = keyof typeof endpoints;

/** Header that names the nonce file which proves who calls (DESIGN §8). */
export const nonceHeader = 'x-appliance-nonce';
/** Header with the process id of the caller; believed only of a process that holds the nonce file open. */
export const pidHeader = 'x-appliance-pid';
/** Header with the address of the caller's SSH client, when it came that way. */
export const sshHeader = 'x-appliance-ssh';
