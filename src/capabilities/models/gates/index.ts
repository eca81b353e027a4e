import { commonGates, type ModelGate } from '../../../config/model-gates.ts';
import type { Finding } from '../../../lib/verdict.ts';
import { CheckedFiles } from '../cache/files.ts';
import { readManifest } from '../manifest-file.ts';
import { type ScanOptions, scanDirectory, scanFinding } from '../scan/index.ts';
import { judgeLibraries, judgeLimit } from './limits.ts';
import type { TrialOutcome } from './trial.ts';

export { tryModel } from './trial.ts';

/** A version before its gates. */
export interface Candidate {
  readonly directory: string;
  /** SHA-256 of its manifest, as it was registered. */
  readonly sha256: string;
  readonly metrics: Readonly<Record<string, number>>;
  readonly libraries: Readonly<Record<string, string>>;
}

export interface GateDeps {
  /** Limits of the policy in force. */
  readonly limits: readonly ModelGate[];
  readonly scan: ScanOptions;
  /** Loads the candidate where nothing else is. Never called for files that the scan refuses. */
  readonly trial: () => Promise<TrialOutcome>;
  /** Whether a version is in force that predictions are compared with. */
  readonly compared: boolean;
  progress(text: string): void;
}

/**
 * Everything that a version must pass before it may serve: its bytes are those that were registered (S0-13, S2-4, S3-7),
 * no file runs code when it is loaded, libraries fit, numbers keep the limits of the policy (S4-16 to S4-21).
 */
export async function runGates(candidate: Candidate, deps: GateDeps): Promise<Finding[]> {
  deps.progress('comparing hashes');
  const hashes = await hashFinding(candidate, deps.scan.signal);
  if (hashes.verdict !== 'pass') return [hashes];
  deps.progress('looking into the files');
  const scan = scanFinding(await scanDirectory(candidate.directory, deps.scan));
  let outcome: TrialOutcome = { kind: 'none', why: 'the scan refuses its files' };
  if (scan.verdict === 'pass') {
    deps.progress('loading it in a container of its own');
    outcome = await deps.trial();
  }
  const measured = outcome.kind === 'measured' ? outcome.trial : null;
  const why = outcome.kind === 'measured' ? '' : outcome.why;
  const loads: Finding = {
    id: 'load',
    verdict: measured ? 'pass' : outcome.kind === 'broken' ? 'fail' : 'inconclusive',
    observed: measured ? 'it loads in the live image, without network' : why,
    expected: 'the live image loads it',
  };
  const known = { metrics: candidate.metrics, trial: measured?.numbers ?? null, why, compared: deps.compared };
  const named = new Set(deps.limits.map(({ metric }) => metric));
  const limits = [...deps.limits, ...commonGates.filter(({ metric }) => !named.has(metric))];
  return [
    hashes,
    scan,
    judgeLibraries(candidate.libraries, measured?.libraries ?? null, why),
    loads,
    ...limits.flatMap((gate) => judgeLimit(gate, known) ?? []),
  ];
}

async function hashFinding({ directory, sha256 }: Candidate, signal: AbortSignal): Promise<Finding> {
  const about = { id: 'S3-7-hashes', expected: 'the bytes that were registered' };
  const { digest, manifest, path } = await readManifest(directory);
  if (digest !== sha256)
    return { ...about, verdict: 'fail', observed: `its manifest now has the hash ${digest.slice(0, 12)}` };
  const difference = await new CheckedFiles().difference(path, manifest, signal);
  const count = Object.keys(manifest.files).length;
  if (difference === null)
    return { ...about, verdict: 'pass', observed: `${count} files have their hashes`, samples: count };
  return { ...about, verdict: 'fail', observed: difference, samples: count };
}
