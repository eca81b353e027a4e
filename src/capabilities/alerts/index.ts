/**
 * Alerts: who is told of what, and the proof that they are (docs/guide/alerts.md).
 *
 * - `installConfiguration` writes what Alertmanager reads (`alertmanagerConfig` is the text of it);
 * - `OwnAlerts` keeps what the agent itself notices; `alertsOf`, `diskAlert`, `monitoringAlert` say what that is;
 * - `escalations` tells more people of what nobody answers;
 * - `AlertDesk` is what people do: look, silence, acknowledge; `testReceivers` and the steps of the drill prove receipt.
 */
export { alertsOfBackups, alertsOfDrill, backupAlertNames, type SeenBackups } from './backup-alerts.ts';
export { type Condition, conditionsOf, reportedAlert, reportedName } from './by-hand.ts';
export { AlertDesk } from './desk.ts';
export { awaitReceipt, checkAlerting } from './drill.ts';
export { type AlertChange, alertsOf } from './events.ts';
export { type AlertDraft, alertMigrations, type OwnAlert, OwnAlerts } from './own-alerts.ts';
export { alertsOfRollout } from './rollout-alerts.ts';
export { Sentry } from './sentry.ts';
export { testReceivers } from './test-receivers.ts';
export type { ShownAlert } from './view.ts';
