import { z } from 'zod';
import { readIfPresent } from '../../../host/files.ts';
import { ApplianceError, asApplianceError } from '../../../lib/errors.ts';
import type { Finding } from '../../../lib/verdict.ts';
import { defineStep, type StepContext, type StepType } from '../../../operations/step.ts';
import { askReload, testCandidate } from '../configuration.ts';
import { configure } from '../configure-edge.ts';
import type { TrafficParts } from '../deps.ts';
import { generationOf } from '../render.ts';
import { certificatePath } from '../tls.ts';
import { fallbackOf, serialOf, switchTo, target } from './link.ts';
import { awaitServed } from './proof.ts';

export interface InstallCertificateArgs {
  readonly set: string;
  /** What is to be served: `<set>/<version>` lies on disk. */
  readonly version: string;
  /** What was in force before, for the way back; null for what the edge has made for itself. */
  readonly from: string | null;
  /** Of the version, as `serialText` writes it. */
  readonly serial: string;
  readonly domains: readonly string[];
}

const versionName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,80}$/);
const argsSchema: z.ZodType<InstallCertificateArgs> = z.object({
  set: z.string().regex(/^[a-z0-9][a-z0-9-]{0,40}$/),
  version: versionName,
  from: versionName.nullable(),
  serial: z.string(),
  domains: z.array(z.string()),
});

/** Milliseconds within which all workers serve what stands on disk. */
const within = 15_000;

/**
 * Step type `install-certificate` (S1-49, S1-50, S2-29): makes nginx serve another version of a certificate, and believes it
 * when real handshakes show it. "Renewed but not served" is what goes wrong most often.
 */
export function installCertificateStep(parts: TrafficParts): StepType<InstallCertificateArgs> {
  return defineStep({
    action: 'install-certificate',
    args: argsSchema,
    apply: (args, context) => apply(parts, args, context),
    verify: (args, context) => verify(parts, args, context),
    undo: (args, context) => undo(parts, args, context),
  });
}

/** Whatever ends this half-way leaves one whole pair in force, and nginx has accepted both. */
async function apply(parts: TrafficParts, args: InstallCertificateArgs, context: StepContext): Promise<string> {
  const { paths } = parts;
  const { set, version, serial, domains } = args;
  const lying = await serialOf(paths, set, version);
  if (lying !== serial) {
    throw new ApplianceError('certificate_invalid', `${set}/${version} has the serial number ${lying}, not ${serial}`, {
      left: 'the edge goes on with the one that it has',
    });
  }
  if (await isBootstrap(parts)) await configure(parts, { topologies: { blue: null, green: null } }, context);
  await testWith(parts, args, context);
  if ((await target(paths, set)) !== version) await switchTo(paths, set, version);
  context.progress(`waiting until ${domains.length === 1 ? domains[0] : `${domains.length} domains`} show it`);
  const objection = await serve(parts, domains, serial, context);
  if (objection === undefined) return `${domains.join(', ')} served with ${serial}`;
  throw await takenBack(parts, args, objection, context);
}

/** Before the first release the edge has the configuration that comes with it, which knows no certificate but its own. */
async function isBootstrap({ files }: TrafficParts): Promise<boolean> {
  const conf = await readIfPresent(files.conf);
  return conf === undefined || generationOf(conf) === 'bootstrap';
}

/** nginx reads the new pair by itself, before any link leads there. */
async function testWith(parts: TrafficParts, { set, version }: InstallCertificateArgs, { signal }: StepContext) {
  const conf = (await readIfPresent(parts.files.conf)) ?? '';
  if (!conf.includes(`${certificatePath(set)}/`)) {
    throw new ApplianceError('certificate_not_served', `the edge has no certificate ${set} in its configuration yet`, {
      left: 'the edge goes on as it was',
      hint: 'tell the edge of it: appliance up',
    });
  }
  await testCandidate(parts, conf.replaceAll(`${certificatePath(set)}/`, `${certificatePath(set, version)}/`), signal);
}

/** Reloads, and looks at what is served. @returns undefined when it is what it should be */
async function serve(
  parts: TrafficParts,
  domains: readonly string[],
  serial: string,
  { signal, clock }: StepContext,
): Promise<string | undefined> {
  const { config } = parts;
  try {
    const asked = await askReload(parts, signal);
    await asked.handedOver();
    const objection = await awaitServed({ config, clock, domains, serial, within }, signal);
    if (objection === undefined) return undefined;
    const line = await asked.complaint();
    return line === undefined ? objection : `${objection} (nginx: ${line})`;
  } catch (error) {
    signal.throwIfAborted();
    return asApplianceError(error).message;
  }
}

/** Puts back what was in force, and proves that too. @returns the error that says both */
async function takenBack(
  parts: TrafficParts,
  args: InstallCertificateArgs,
  objection: string,
  context: StepContext,
): Promise<ApplianceError> {
  const { paths } = parts;
  const { set, from, serial, domains } = args;
  const before = await fallbackOf(paths, set, from);
  await switchTo(paths, set, before);
  const old = await serialOf(paths, set, before);
  const second = await serve(parts, domains, old, context);
  return new ApplianceError('certificate_not_served', `the edge does not serve ${serial}: ${objection}`, {
    left:
      second === undefined ? `${old} is back in force, and served` : `${old} is back in force, but not seen: ${second}`,
    hint: 'look at the log of the edge: appliance logs edge',
  });
}

async function verify(parts: TrafficParts, args: InstallCertificateArgs, context: StepContext): Promise<Finding> {
  const { set, version, serial, domains } = args;
  const { config } = parts;
  const { clock, signal } = context;
  const expected = `${set}/${version} (${serial})`;
  const current = await target(parts.paths, set);
  const objection =
    current === version
      ? await awaitServed({ config, clock, domains, serial, within: 0 }, signal)
      : `in force is ${set}/${current ?? 'nothing'}`;
  return objection === undefined
    ? { id: 'certificate', verdict: 'pass', observed: `${expected} is served` }
    : { id: 'certificate', verdict: 'fail', observed: objection, expected, hint: 'appliance certs status' };
}

/** An edge that does not run reads the link when it starts. */
async function undo(parts: TrafficParts, args: InstallCertificateArgs, context: StepContext): Promise<void> {
  const { paths } = parts;
  const { set, version, from, domains } = args;
  if ((await target(paths, set)) !== version || version === from) return;
  const before = await fallbackOf(paths, set, from);
  await switchTo(paths, set, before);
  try {
    const asked = await askReload(parts, context.signal);
    await asked.handedOver();
  } catch (error) {
    if (error instanceof ApplianceError && error.code === 'edge_unreachable') return;
    throw error;
  }
  const serial = await serialOf(paths, set, before);
  const { config } = parts;
  const { clock, signal } = context;
  const objection = await awaitServed({ config, clock, domains, serial, within }, signal);
  if (objection !== undefined)
    throw new ApplianceError('certificate_not_served', `the edge does not serve ${serial} again: ${objection}`);
}
