import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { readIfPresent } from '../host/files.ts';
import { ApplianceError, asApplianceError, messageOf, systemCode } from '../lib/errors.ts';
import { didYouMean } from '../lib/near.ts';
import { formatBytes } from '../lib/units.ts';
import { problemText } from './load.ts';
import { metricOf } from './metrics.ts';
import { outlineOf } from './outline.ts';
import { type Parsed, parseText } from './parse.ts';
import { type Policy, policySchema } from './policy.ts';
import { policyIssues } from './policy-checks.ts';

/** Largest policy file, in bytes. */
const maxSize = 256 * 1024;
const suffix = '.yaml';
/** Names that a policy may have, and thereby the files that are ever opened. */
const namePattern = /^[a-z][a-z0-9-]{0,40}$/;

/** A policy, the text that it was read from (`parsePolicy` reads it again) and where that stands. */
export interface LoadedPolicy {
  readonly policy: Policy;
  readonly text: string;
  readonly path: string;
}

export interface PolicyPlace {
  readonly name: string;
  readonly path: string;
  /** Whether it lies beside appliance.yaml, where it wins over one of the same name that comes with the program. */
  readonly own: boolean;
}

const outline = outlineOf(() => z.toJSONSchema(policySchema, { io: 'input', target: 'draft-2020-12' }));

/** Reads the text of a policy. Pure; finds all mistakes, not just the first. */
export function parsePolicy(text: string): Parsed<Policy> {
  return parseText(text, { schema: policySchema, outline, crossCheck: policyIssues });
}

/** Directory of the policies that come with the program: beside its modules, or in the source tree. */
async function shippedDirectory(): Promise<string> {
  const beside = join(import.meta.dirname, 'policies');
  return (await isDirectory(beside)) ? beside : join(import.meta.dirname, '../../compose/policies');
}

/**
 * Every policy that can be named, by name.
 * @param configPath path of appliance.yaml: own policies lie beside it in `policies/NAME.yaml`
 */
export async function listPolicies(configPath: string): Promise<PolicyPlace[]> {
  const places = new Map<string, PolicyPlace>();
  for (const [directory, own] of [
    [await shippedDirectory(), false],
    [ownDirectory(configPath), true],
  ] as const) {
    for (const name of await namesIn(directory)) places.set(name, { name, path: join(directory, name + suffix), own });
  }
  return [...places.values()].sort((a, b) => a.name.localeCompare(b.name));
}

/**
 * Reads and checks the policy of a name.
 * @throws ApplianceError `policy_not_found`, or `policy_invalid` with file, line and column of every mistake
 */
export async function loadPolicy(name: string, configPath: string): Promise<LoadedPolicy> {
  const places = await listPolicies(configPath);
  const place = places.find((known) => known.name === name);
  if (!place) {
    const known = places.map((other) => other.name);
    throw new ApplianceError('policy_not_found', `there is no policy ${name}`, {
      left: 'nothing was touched',
      hint: didYouMean(name, known) ?? `there are ${known.join(', ')}; your own go to ${ownDirectory(configPath)}`,
    });
  }
  const { value, text, problems } = await checkPolicy(place);
  if (value !== null) return { policy: value, text, path: place.path };
  throw invalid(problems.map((problem) => problemText(place.path, problem)).join('\n'));
}

/** Reads a policy and finds all of its mistakes; one that cannot be read at all has that one. */
export async function checkPolicy({ name, path }: PolicyPlace): Promise<Parsed<Policy> & { readonly text: string }> {
  const text = await textOf(path).catch(asApplianceError);
  if (typeof text !== 'string')
    return { value: null, text: '', problems: [{ line: null, column: null, path: '', message: text.message }] };
  const parsed = parsePolicy(text);
  if (parsed.value === null || parsed.value.name === name) return { ...parsed, text };
  const message = `its name is ${parsed.value.name}, but its file is called ${name}${suffix}`;
  return { value: null, text, problems: [{ line: null, column: null, path: 'name', message }] };
}

/**
 * Every limit on a time to answer that a policy of this appliance names, in seconds, so that times can be counted against
 * it exactly. A policy that cannot be read says so when it is used.
 */
export async function latencyLimits(configPath: string): Promise<number[]> {
  const policies = await Promise.all(
    (await listPolicies(configPath)).map(({ name }) => loadPolicy(name, configPath).catch(() => undefined)),
  );
  return policies
    .flatMap((loaded) => (loaded ? [loaded.policy] : []))
    .flatMap(({ gates, rollback, investigate, alerts }) => [...gates, ...rollback, ...investigate, ...alerts])
    .filter(({ metric, against }) => metricOf(metric).unit === 'seconds' && against === undefined)
    .filter(({ metric }) => metricOf(metric).source === 'edge')
    .flatMap(({ above, below, atLeast, atMost }) => [above, below, atLeast, atMost])
    .filter((limit) => limit !== undefined);
}

function ownDirectory(configPath: string): string {
  return join(dirname(configPath), 'policies');
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    const files = await readdir(directory);
    return files
      .filter((file) => file.endsWith(suffix))
      .map((file) => file.slice(0, -suffix.length))
      .filter((name) => namePattern.test(name));
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw invalid(`${directory} cannot be read: ${messageOf(error)}`, error);
  }
}

async function textOf(path: string): Promise<string> {
  try {
    const { size } = await stat(path);
    if (size > maxSize) throw invalid(`it is ${formatBytes(size)} long, which no policy is`);
    const text = await readIfPresent(path);
    if (text !== undefined) return text;
  } catch (error) {
    if (error instanceof ApplianceError) throw error;
    throw invalid(`it cannot be read: ${messageOf(error)}`, error);
  }
  throw invalid('it went away while it was read');
}

async function isDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

function invalid(message: string, cause?: unknown): ApplianceError {
  return new ApplianceError('policy_invalid', message, {
    left: 'nothing was touched',
    hint: 'correct it, then look at the plan again: appliance plan TAG --policy NAME',
    cause,
  });
}
