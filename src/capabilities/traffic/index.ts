/** Traffic: the edge and which colour its requests get (DESIGN §4; docs/decisions/0010-edge-traffic.md). */
import { type EdgeStatus, edgeControl } from '../../host/nginx.ts';
import type { Weights } from '../../lib/colour.ts';
import type { DrainReport, DrainWish } from '../../lib/drain.ts';
import type { StepContext, StepType } from '../../operations/step.ts';
import { type RotateOptions, rotateLogs } from './access-log.ts';
import { type BeginRolloutArgs, beginRollout } from './begin-rollout.ts';
import { type InstallCertificateArgs, installCertificateStep } from './certificates/install.ts';
import { servedSerial } from './certificates/proof.ts';
import { type CloseEdgeArgs, closeEdgeStep } from './close-edge.ts';
import { type ConfigureEdgeArgs, configureEdgeStep } from './configure-edge.ts';
import type { TrafficDeps, TrafficParts } from './deps.ts';
import { drain } from './drain.ts';
import { edgeFiles } from './files.ts';
import { type HoldStageArgs, holdStage, type RolloutDeps } from './hold-stage.ts';
import { Meter } from './meter.ts';
import { type ShadowReports, type ShadowTrafficArgs, shadowTraffic } from './shadow/step.ts';
import { type ShiftTrafficArgs, shiftTrafficStep } from './shift-traffic.ts';
import { SyntheticSamples } from './synthetic/samples.ts';
import { currentWeights } from './weights.ts';

export type { TrafficDeps } from './deps.ts';
export { renderEdge } from './render.ts';
export { verdictOfStage } from './rollout-decision.ts';
export type { Topologies } from './topologies.ts';

/** Milliseconds for a look at one served certificate. */
const servedTimeout = 10_000;

export interface Traffic {
  /** Shares that requests get now: from the running nginx, else from the file it starts with; null before any shift. */
  weights(): Promise<Weights | null>;
  /** What the running nginx says of itself. @throws ApplianceError `edge_unreachable` */
  status(signal?: AbortSignal): Promise<EdgeStatus>;
  /** Rotates access and error log beyond a size. @returns the paths that were rotated */
  rotateAccessLog(options: RotateOptions): Promise<string[]>;
  /** Lets a colour finish what it is answering, then stops it. @returns who was still connected at the end */
  drain(wish: DrainWish, context: StepContext): Promise<DrainReport>;
  readonly configureEdge: StepType<ConfigureEdgeArgs>;
  readonly closeEdge: StepType<CloseEdgeArgs>;
  readonly shiftTraffic: StepType<ShiftTrafficArgs>;
  readonly installCertificate: StepType<InstallCertificateArgs>;
  /** Serial number of the certificate that a domain is served; undefined when there is no handshake. */
  served(domain: string, signal?: AbortSignal): Promise<string | undefined>;
  /** Measures releases by the access log; reads it when it is asked. */
  readonly meter: Meter;
  /** What became of the requests that appliance.yaml declares. */
  readonly synthetic: SyntheticSamples;
  /** Steps of a progressive rollout. */
  rolloutSteps(
    rollout: RolloutDeps,
    reports: ShadowReports,
  ): {
    readonly shadowTraffic: StepType<ShadowTrafficArgs>;
    readonly beginRollout: StepType<BeginRolloutArgs>;
    readonly holdStage: StepType<HoldStageArgs>;
  };
}

/** The traffic capability over one edge. Nothing is touched until a query or step runs. */
export function createTraffic(deps: TrafficDeps): Traffic {
  const files = edgeFiles(deps.paths);
  const parts: TrafficParts = { ...deps, files, control: edgeControl(files.control) };
  const meter = new Meter({ path: files.accessLog, clock: deps.clock, limits: deps.limits });
  const configureEdge = configureEdgeStep(parts);
  return {
    weights: () => currentWeights(parts),
    status: (signal) => parts.control.status(signal),
    rotateAccessLog: (options) => rotateLogs(parts, options),
    drain: (wish, context) => drain(parts, wish, context),
    configureEdge,
    closeEdge: closeEdgeStep(configureEdge),
    shiftTraffic: shiftTrafficStep(parts),
    installCertificate: installCertificateStep(parts),
    served: (domain, signal = AbortSignal.timeout(servedTimeout)) => servedSerial(deps.config, domain, signal),
    meter,
    synthetic: new SyntheticSamples(deps.clock, () => meter.edges),
    rolloutSteps: (rollout, reports) => ({
      beginRollout: beginRollout(parts, rollout),
      holdStage: holdStage(rollout),
      shadowTraffic: shadowTraffic(parts, { ...rollout, reports }),
    }),
  };
}
