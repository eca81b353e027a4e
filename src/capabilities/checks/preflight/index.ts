import type { PolicyDemands } from '../../../config/policy-demands.ts';
import type { Compose } from '../../../host/compose.ts';
import type { FirewallState } from '../../../host/firewall.ts';
import type { Gpu } from '../../../host/gpu.ts';
import type { FileSystemUse } from '../../../host/machine.ts';
import type { ClockState } from '../../../host/time-sync.ts';
import type { Check } from '../check.ts';
import { clockCheck } from './clock.ts';
import { cpuCheck } from './cpu.ts';
import { diskCheck } from './disk.ts';
import { dnsCheck } from './dns.ts';
import { composeCheck, engineCheck } from './engine.ts';
import { firewallCheck } from './firewall.ts';
import { gpuCheck } from './gpu.ts';
import { imageSizesCheck, type SizedImage } from './image-sizes.ts';
import { inodesCheck } from './inodes.ts';
import { memoryCheck } from './memory.ts';
import { type PortHands, portsCheck } from './ports.ts';
import {
  type BackupStorage,
  backupStorageCheck,
  type CertificateEnd,
  certificateCheck,
  monitoringCheck,
} from './readiness.ts';
import { type MemoryUse, roomForTwoCheck } from './room-for-two.ts';
import { changelogCheck, cleanTreeCheck, type SourceHands, tagCheck } from './source.ts';
import { subnetsCheck } from './subnets.ts';

/** What the checks of a host are given to look with. Sizes are bytes. */
export interface PreflightHands {
  readonly processors: () => number;
  readonly totalMemory: () => number;
  readonly disk: () => Promise<FileSystemUse>;
  readonly versions: () => ReturnType<Compose['version']>;
  readonly ports: PortHands;
  readonly firewall: (signal: AbortSignal) => Promise<FirewallState>;
  readonly domains: readonly string[];
  readonly resolve: (name: string) => Promise<readonly string[]>;
  readonly clock: (signal: AbortSignal) => Promise<ClockState>;
  readonly subnets: () => Promise<{ readonly blue: string; readonly green: string }>;
  readonly reservedGpus: () => Promise<number | null>;
  readonly gpus: (signal: AbortSignal) => Promise<Gpu[] | undefined>;
  readonly images: () => Promise<readonly SizedImage[]>;
  readonly memoryUse: () => Promise<MemoryUse>;
  readonly source: SourceHands;
  readonly certificates: () => Promise<readonly CertificateEnd[]>;
  readonly backupStorage: () => Promise<BackupStorage>;
  readonly monitored: boolean;
  readonly receivers: number;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

/**
 * Whether this host can take a release. Nothing of it needs an agent or an earlier deploy.
 * @param demands of the policy; undefined: what every appliance needs
 * @param tag the release that it is about
 */
export function preflightChecks(
  hands: PreflightHands,
  demands: PolicyDemands | undefined,
  tag: string | undefined,
): Check[] {
  const listens = Object.values(hands.ports.wanted);
  return [
    ...(demands?.cpus ? [cpuCheck(hands.processors, demands.cpus)] : []),
    ...(demands?.memory ? [memoryCheck(hands.totalMemory, demands.memory)] : []),
    diskCheck(hands.disk, demands?.disk),
    inodesCheck(hands.disk),
    engineCheck(hands.versions),
    composeCheck(hands.versions),
    portsCheck(hands.ports),
    firewallCheck(hands.firewall, listens),
    dnsCheck(hands.domains, hands.resolve),
    clockCheck(hands.clock),
    subnetsCheck(hands.subnets),
    gpuCheck(hands.reservedGpus, hands.gpus),
    ...(demands?.image ? [imageSizesCheck(hands.images, demands.image)] : []),
    roomForTwoCheck(hands.memoryUse),
    cleanTreeCheck(hands.source),
    tagCheck(hands.source, tag),
    changelogCheck(hands.source, tag),
    certificateCheck(hands.certificates, hands.now),
    backupStorageCheck(hands.backupStorage),
    monitoringCheck(hands.monitored, hands.receivers),
  ];
}
