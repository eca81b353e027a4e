import type { Check } from '../check.ts';
import { exposedPortsCheck, mountsCheck, rootCheck, type SeenContainer } from './containers.ts';
import { headersCheck } from './headers.ts';
import { metricsCheck } from './metrics.ts';
import { rateLimitCheck } from './rate-limit.ts';
import { tlsCheck } from './tls.ts';
import { type ScannedImage, vulnerabilitiesCheck } from './vulnerabilities.ts';

/** What the checks of security are given to look with. */
export interface SecurityHands {
  readonly page: Parameters<typeof headersCheck>[0];
  readonly ask: Parameters<typeof metricsCheck>[0];
  readonly internal: readonly string[];
  readonly probe: Parameters<typeof tlsCheck>[0];
  readonly limit: Parameters<typeof rateLimitCheck>[0];
  readonly send: Parameters<typeof rateLimitCheck>[1];
  readonly containers: () => Promise<readonly SeenContainer[]>;
  readonly edge: readonly string[];
  readonly images: () => Promise<readonly ScannedImage[]>;
}

/** What strangers can see and reach, and what the containers could do (S1-2, S4-1). */
export function securityChecks(hands: SecurityHands): Check[] {
  return [
    headersCheck(hands.page),
    tlsCheck(hands.probe),
    exposedPortsCheck(hands.containers, hands.edge),
    metricsCheck(hands.ask, hands.internal),
    rootCheck(hands.containers),
    mountsCheck(hands.containers),
    vulnerabilitiesCheck(hands.images),
    rateLimitCheck(hands.limit, hands.send),
  ];
}
