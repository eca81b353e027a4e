import type { Colour } from '../lib/colour.ts';
import type { Topology } from '../lib/topology.ts';
import type { PlannedStep, StepType } from '../operations/step.ts';

/** What the recipes of certificates put in order. */
export interface CertificateSteps {
  readonly checkCertificate: StepType<{ readonly set: string }>;
  readonly issueCertificate: StepType<{ readonly set: string }>;
  readonly rehearseCertificate: StepType<{ readonly set: string }>;
  readonly importCertificate: StepType<{ readonly set: string; readonly key: string; readonly chain: string }>;
  readonly recordCertificate: StepType<{ readonly set: string }>;
  readonly installCertificate: StepType<{
    readonly set: string;
    readonly version: string;
    readonly from: string | null;
    readonly serial: string;
    readonly domains: readonly string[];
  }>;
  readonly configureEdge: StepType<{ readonly topologies: Readonly<Record<Colour, Topology | null>> }>;
}

export interface IssueFacts {
  readonly set: string;
  /** Names that it is for. */
  readonly names: readonly string[];
  /** Why it is done. */
  readonly cause: string;
  /** Milliseconds that one attempt may take, a rehearsal included. */
  readonly patience: number;
}

/** What the schedule does before it renews what is due. Pure. */
export function planCheck({ set, names }: Pick<IssueFacts, 'set' | 'names'>, steps: CertificateSteps): PlannedStep[] {
  return [
    steps.checkCertificate.plan(
      { set },
      {
        title: `look after the certificate for ${namesText(names)}`,
        cause: 'its authority may want it renewed earlier, and what is in force must be what is served',
        deadline: 300_000,
      },
    ),
  ];
}

/** First phase: a new certificate on the disk. What is served does not change. Pure. */
export function planIssue({ set, names, cause, patience }: IssueFacts, steps: CertificateSteps): PlannedStep[] {
  return [
    steps.issueCertificate.plan(
      { set },
      { title: `get a certificate for ${namesText(names)}`, cause, deadline: patience },
    ),
  ];
}

/** First phase where somebody has brought files. Pure. */
export function planImport(
  {
    set,
    names,
    key,
    chain,
  }: { readonly set: string; readonly names: readonly string[]; readonly key: string; readonly chain: string },
  steps: CertificateSteps,
): PlannedStep[] {
  return [
    steps.importCertificate.plan(
      { set, key, chain },
      { title: `take over the certificate for ${namesText(names)}`, cause: 'somebody has brought it' },
    ),
  ];
}

/** Tries everything that an attempt takes, and keeps nothing. Pure. */
export function planRehearsal({ set, names, cause, patience }: IssueFacts, steps: CertificateSteps): PlannedStep[] {
  return [
    steps.rehearseCertificate.plan(
      { set },
      { title: `rehearse a certificate for ${namesText(names)}`, cause, deadline: patience },
    ),
  ];
}

export interface InstallFacts {
  readonly set: string;
  readonly version: string;
  readonly serial: string;
  /** Names that the edge answers to under this certificate. */
  readonly domains: readonly string[];
  /** What is in force; null for the stand-in of the edge. */
  readonly from: string | null;
  /** Where the colours listen; null while nothing is live, and the edge serves its maintenance page. */
  readonly topologies: Readonly<Record<Colour, Topology | null>> | null;
}

/**
 * Second phase: what lies on the disk is served, and real handshakes prove it (S1-49). A failure brings the certificate
 * before it back. Pure.
 */
export function planInstall(facts: InstallFacts, steps: CertificateSteps): PlannedStep[] {
  const { set, version, serial, domains, from, topologies } = facts;
  return [
    ...(topologies
      ? [
          steps.configureEdge.plan(
            { topologies },
            {
              title: 'make sure that the edge knows these names',
              cause: 'one that is new in appliance.yaml has no server yet; otherwise nothing is reloaded',
            },
          ),
        ]
      : []),
    steps.installCertificate.plan(
      { set, version, from, serial, domains },
      {
        title: `serve ${version} and prove it by handshakes`,
        cause: 'what was renewed and is not served helps nobody',
        pivot: true,
        deadline: 120_000,
      },
    ),
    steps.recordCertificate.plan(
      { set },
      { title: 'note when it is to be renewed', cause: 'old versions beyond the last three go' },
    ),
  ];
}

function namesText([first = '', ...rest]: readonly string[]): string {
  return rest.length === 0 ? first : `${first} and ${rest.length} more`;
}
