import type { Finding } from '../../../lib/verdict.ts';
import type { Check } from '../check.ts';
import { type AlertHands, alertsCheck, quietCheck } from './alerts.ts';
import { dashboardsCheck } from './dashboards.ts';
import { type ExhaustionHands, exhaustionChecks } from './exhaustion.ts';
import { gateChecks } from './gates.ts';
import { memoryGrowthCheck } from './memory-growth.ts';
import { type SeenService, servicesCheck } from './services.ts';
import { backupsCheck, certificatesCheck, type UpkeepHands } from './upkeep.ts';
import { type WayBack, wayBackCheck } from './way-back.ts';

/** What a look some time after a deploy is given to look with. */
export interface PostDeployHands extends UpkeepHands, ExhaustionHands {
  readonly services: () => Promise<readonly SeenService[]>;
  readonly alerts: AlertHands;
  readonly series: ((metric: string, signal: AbortSignal) => Promise<number>) | undefined;
  readonly wayBack: () => Promise<WayBack>;
  /** Ids of the policy's gates, and what they say of the last hour. */
  readonly gates: readonly string[];
  readonly measureGates: (signal: AbortSignal) => Promise<readonly Finding[]>;
}

/** How the live release is some time after its deploy (S1-54 to S1-60, S1-79 to S1-88). Sends no requests to it. */
export function postDeployChecks(hands: PostDeployHands): Check[] {
  return [
    servicesCheck(hands.services),
    memoryGrowthCheck(hands.samples),
    ...exhaustionChecks(hands),
    certificatesCheck(hands),
    backupsCheck(hands),
    alertsCheck(hands.alerts),
    quietCheck(hands.alerts),
    dashboardsCheck(hands.series),
    wayBackCheck(hands.wayBack, hands.now),
    ...gateChecks(hands.gates, hands.measureGates),
  ];
}
