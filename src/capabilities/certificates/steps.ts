import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { covers, normaliseNames } from '../../config/certificate-names.ts';
import type { CertificateSet } from '../../config/certificates.ts';
import type { Clock } from '../../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../../lib/errors.ts';
import { defineStep, type StepContext } from '../../operations/step.ts';
import type { AttemptLog } from './attempts.ts';
import type { AcmeIssuer } from './issuer.ts';
import { renewalTime, retryTime } from './renewal.ts';
import { selfSigned } from './self-signed.ts';
import type { CertificateStore, Stored } from './store.ts';

export interface CertificateStepDeps {
  /** @throws ApplianceError `certificate_not_found` */
  readonly set: (name: string) => CertificateSet;
  readonly issuer: AcmeIssuer;
  readonly store: CertificateStore;
  readonly log: AttemptLog;
  readonly clock: Clock;
  /** Told of each attempt that failed, and of each certificate that was recorded. */
  readonly onFailed: (set: string, error: ApplianceError) => void;
  readonly onRecorded: (set: string) => void;
}

/** Longest key or chain that is read, in bytes. */
const longestFile = 1024 * 1024;

/** Steps that bring a certificate onto the disk; none of them changes what is served. */
export function createCertificateSteps(deps: CertificateStepDeps) {
  const { store, log } = deps;

  return {
    issueCertificate: defineStep({
      action: 'issue-certificate',
      args: z.object({ set: z.string() }),
      async apply({ set: name }, context) {
        const set = deps.set(name);
        const waiting = await waitingVersion(set, deps);
        if (waiting) return `${waiting.version} lies on disk already and is not in force yet`;
        const stored = set.issuer === 'acme' ? await attempt(set, context, deps) : await signItself(set, deps);
        return `${stored.version} by ${stored.issuer}, good until ${new Date(stored.notAfter).toISOString()}`;
      },
    }),

    /** Proves that the next attempt would work, without spending one where a staging directory is known. */
    rehearseCertificate: defineStep({
      action: 'rehearse-certificate',
      args: z.object({ set: z.string() }),
      async apply({ set: name }, context) {
        const set = deps.set(name);
        const { issuer } = deps;
        issuer.assertAllowed(issuer.namesOf(set));
        await issuer.look(set, context);
        if (issuer.staging === undefined)
          return 'the authority answers, and port 80 answers with our token; without certificates.acme.staging nothing more can be tried';
        await issuer.rehearse(set, context);
        return 'the staging directory has issued one, which was thrown away';
      },
    }),

    importCertificate: defineStep({
      action: 'import-certificate',
      args: z.object({ set: z.string(), key: z.string(), chain: z.string() }),
      async apply({ set: name, key, chain }) {
        const stored = await importPair(deps.set(name), { key, chain }, deps);
        return `${stored.version} by ${stored.issuer}, good until ${new Date(stored.notAfter).toISOString()}`;
      },
    }),

    recordCertificate: defineStep({
      action: 'record-certificate',
      args: z.object({ set: z.string() }),
      async apply({ set }) {
        log.succeeded(set);
        deps.onRecorded(set);
        await store.prune(set);
        const current = await store.current(set);
        if (!current) return 'the edge has its own stand-in';
        const at = renewalTime(current, log.window(set, current.serial));
        return current.kind === 'acme'
          ? `to be renewed after ${new Date(at).toISOString()}`
          : `ends at ${new Date(current.notAfter).toISOString()}`;
      },
    }),
  };
}

/** A version that a process before this one has left, so that its attempt is not wasted. */
export async function waitingVersion(
  set: CertificateSet,
  { store, log, clock }: Pick<CertificateStepDeps, 'store' | 'log' | 'clock'>,
): Promise<Stored | undefined> {
  const current = await store.currentVersion(set.name);
  const [newest] = await store.list(set.name);
  if (!newest || newest.version === current || newest.kind !== set.issuer) return undefined;
  if (current !== undefined && newest.version < current) return undefined;
  const names = normaliseNames(set.domains, { challenge: undefined });
  const fresh = renewalTime(newest, log.window(set.name, newest.serial)) > clock.now();
  return fresh && names.every((name) => covers(newest.domains, name)) ? newest : undefined;
}

async function attempt(set: CertificateSet, context: StepContext, deps: CertificateStepDeps): Promise<Stored> {
  const { issuer, store, log, clock, onFailed } = deps;
  const current = await store.current(set.name);
  const { failures } = log.state(set.name);
  const next = (): number => retryTime(failures + 1, clock.now(), current?.notAfter);
  try {
    issuer.assertAllowed(issuer.namesOf(set));
    log.begin(set.name, clock.now(), next());
    return await issuer.issue(set, { replaced: current, careful: failures > 0 }, context);
  } catch (error) {
    const told = asApplianceError(error);
    // Who stopped it knows why; whoever comes next goes on with the order.
    if (!context.signal.aborted) {
      log.failed(set.name, told.message, next());
      onFailed(set.name, told);
    }
    throw error;
  }
}

async function signItself(set: CertificateSet, { store, clock }: CertificateStepDeps): Promise<Stored> {
  if (set.issuer === 'imported') {
    throw new ApplianceError('certificate_invalid', `the certificate ${set.name} is brought as files`, {
      left: 'nothing was changed',
      hint: `appliance certs import CHAIN KEY --set ${set.name}; or change certificates.issuer in appliance.yaml`,
    });
  }
  const names = normaliseNames(set.domains, { challenge: undefined });
  const pair = await selfSigned(names, clock.now());
  return store.add(
    set.name,
    { ...pair, meta: { kind: 'self-signed', source: null, directory: null } },
    names,
    clock.now(),
  );
}

/**
 * Takes over a pair that somebody has brought. What it is refused for: the key is another one's, the chain has a gap, the
 * names are not covered, it has ended.
 * @throws ApplianceError `certificate_invalid`, `not_permitted`
 */
async function importPair(
  set: CertificateSet,
  { key, chain }: { readonly key: string; readonly chain: string },
  { store, clock }: Pick<CertificateStepDeps, 'store' | 'clock'>,
): Promise<Stored> {
  const names = normaliseNames(set.domains, { challenge: undefined });
  const [keyText, chainText] = [await readSmall(key), await readSmall(chain)];
  const source = { key, chain, digest: digestOf(keyText, chainText) };
  const content = { key: keyText, chain: chainText, meta: { kind: 'imported', source, directory: null } } as const;
  return store.add(set.name, content, names, clock.now());
}

/**
 * What files that a certificate was brought by hold by now, if it is another pair.
 * @returns their digest; undefined also where they are gone: what was brought stays
 */
export async function broughtAnew({ source }: Pick<Stored, 'source'>): Promise<string | undefined> {
  if (!source) return undefined;
  try {
    const digest = digestOf(await readSmall(source.key), await readSmall(source.chain));
    return digest === source.digest ? undefined : digest;
  } catch {
    return undefined;
  }
}

async function readSmall(path: string): Promise<string> {
  let text: Buffer;
  try {
    text = await readFile(path);
  } catch (cause) {
    throw new ApplianceError('certificate_invalid', `${path} cannot be read`, {
      left: 'the certificate in force stays',
      cause,
    });
  }
  if (text.length <= longestFile) return text.toString('utf8');
  throw new ApplianceError('certificate_invalid', `${path} is too long for a key or a chain`, {
    left: 'the certificate in force stays',
  });
}

function digestOf(key: string, chain: string): string {
  return createHash('sha256').update(`${key.length}:${key}${chain}`).digest('hex');
}
