import type { Colour, Weights } from '../lib/colour.ts';
import type { Topology } from '../lib/topology.ts';
import type { StepType } from '../operations/step.ts';
import type { LiveFacts } from './facts.ts';

/** A release on its colour. */
export interface Side {
  readonly release: string;
  readonly tag: string;
  readonly colour: Colour;
}

interface OnColour {
  readonly release: string;
  readonly colour: Colour;
}

export interface Removal {
  readonly colour: Colour;
  readonly graceSeconds: number;
  /** Nothing can be in flight there any more. */
  readonly idle: boolean;
}

interface OneService {
  readonly service: string;
  readonly colour: Colour;
  readonly timeout: number;
}

/** What the recipes put in order. Capabilities offer these steps, the agent hands them over. */
export interface Steps {
  readonly checkHost: StepType<{
    readonly minimumFreeBytes: number;
    /** The release whose checklists are worked through; left out: the host alone. */
    readonly tag?: string | undefined;
    readonly policy?: string | undefined;
  }>;
  /** Sequences of requests, straight to the containers of a colour or through the edge. */
  readonly smoke: StepType<
    OnColour & { readonly tag: string; readonly through: 'colour' | 'edge'; readonly sequences: string[] }
  >;
  readonly resolveRelease: StepType<{ readonly tag: string; readonly acceptMovedTag: boolean }>;
  /** Lets nothing through that people must approve and have not. */
  readonly requireApprovals: StepType<{
    readonly release: string;
    readonly tag: string;
    readonly roles: {
      readonly id: string;
      readonly role: string;
      readonly title: string;
      readonly holders?: readonly string[] | undefined;
    }[];
  }>;
  readonly buildImages: StepType<{ readonly release: string }>;
  readonly startCore: StepType<{ readonly release: string | null; readonly replace: boolean }>;
  /** Takes the core services of a release over for good. */
  readonly adoptCore: StepType<{ readonly release: string | null; readonly replace: boolean }>;
  readonly migrate: StepType<OnColour>;
  readonly leaveWayBack: StepType<{ readonly liveTag: string; readonly liveVersion: number }>;
  readonly recordSchema: StepType<{
    readonly release: string;
    readonly version: number;
    readonly readableFrom: number;
  }>;
  readonly forgetSchema: StepType<Record<string, never>>;
  readonly startColour: StepType<
    OnColour & {
      /** What requests in flight get when the colour is taken back after it had traffic. */
      readonly graceSeconds?: number | undefined;
    }
  >;
  readonly waitHealthy: StepType<OnColour & { readonly timeout: number }>;
  /** Every request gets the maintenance page. */
  readonly closeEdge: StepType<{ readonly back: Readonly<Record<Colour, Topology | null>> }>;
  readonly configureEdge: StepType<{ readonly topologies: Readonly<Record<Colour, Topology | null>> }>;
  readonly shiftTraffic: StepType<{
    readonly from: Weights;
    readonly to: Weights;
    readonly release: string;
    /** A path that the release answers when it is healthy. */
    readonly path?: string | undefined;
    /** What taking it back goes back to, where that is not `from`. */
    readonly back?: Weights | undefined;
  }>;
  /** Freezes the policy of a rollout; taken back, it proves that the release before it serves. */
  readonly beginRollout: StepType<{
    readonly policy: string;
    readonly rules: string;
    readonly candidate: Side;
    readonly baseline: Side | null;
    readonly verify: { readonly attempts: number; readonly every: number };
  }>;
  /** Copies requests to a release that has none yet, and compares. Times are milliseconds. */
  readonly shadowTraffic: StepType<{
    readonly position: number;
    readonly candidate: Side;
    readonly baseline: Side;
    readonly topology: Topology;
    readonly share: number;
    readonly duration: number;
    readonly every: number;
  }>;
  /** Watches a share of traffic until its policy lets it pass. Times are milliseconds. */
  readonly holdStage: StepType<{
    readonly position: number;
    readonly kind: 'stage' | 'bake';
    readonly candidate: Side;
    readonly baseline: Side | null;
    readonly weight: number;
    readonly duration: number;
    readonly every: number;
    readonly patience: number;
    readonly minRequests: number;
  }>;
  readonly recordLive: StepType<
    OnColour & { readonly actor: string; readonly previous: Omit<LiveFacts, 'tag'> | null }
  >;
  readonly bake: StepType<OnColour & { readonly duration: number }>;
  readonly stopColour: StepType<{ readonly colour: Colour; readonly graceSeconds: number }>;
  readonly removeColour: StepType<Removal & { readonly warm: string | null }>;
  /** All of them at the same time. */
  readonly removeColours: StepType<{ readonly removals: Removal[] }>;
  readonly restartService: StepType<{ readonly service: string; readonly timeout: number }>;
  readonly stopService: StepType<OneService>;
  readonly startService: StepType<OneService>;
  readonly checkAlerting: StepType<{ readonly service: string }>;
  readonly awaitReceipt: StepType<{ readonly service: string; readonly limit: number }>;
  readonly removeCore: StepType<{ readonly volumes: boolean }>;
  readonly retain: StepType<Record<string, never>>;
}
