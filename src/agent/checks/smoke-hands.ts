import type { Check } from '../../capabilities/checks/check.ts';
import { type Instance, instancesCheck } from '../../capabilities/checks/smoke/instances.ts';
import { type Destination, type SequenceHands, sequenceChecks } from '../../capabilities/checks/smoke/sequence.ts';
import { type AskDatabase, migrationCheck, tablesCheck } from '../../capabilities/checks/smoke/tables.ts';
import { labelKeys } from '../../capabilities/stack/index.ts';
import { reachable } from '../../capabilities/traffic/addresses.ts';
import type { PolicyDemands } from '../../config/policy-demands.ts';
import { loadSequence } from '../../config/sequence-load.ts';
import type { Sequence } from '../../config/sequences.ts';
import type { Colour } from '../../lib/colour.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { routeFor } from '../../lib/routes.ts';
import type { Topology } from '../../lib/topology.ts';
import { ownChain } from './own-chain.ts';
import type { CheckParts } from './parts.ts';

/** On every request of a check, so that the application and its log can tell it from one of a user. */
export const markHeader = { 'x-appliance-synthetic': '1' };

/** What is asked: a release, straight at one colour or as users reach it. */
export interface Subject {
  readonly release: string;
  readonly colour: Colour;
  readonly through: 'colour' | 'edge';
}

/**
 * The sequences of some names: own ones first, then those that come with the program.
 * @throws ApplianceError `config_invalid` for a name that nobody knows; `policy_invalid`
 */
export async function sequencesOf(
  { config }: Pick<CheckParts, 'config'>,
  names: readonly string[],
): Promise<Sequence[]> {
  return Promise.all(
    names.map(async (name) => {
      const found = config.checks?.sequences.find((own) => own.name === name) ?? (await loadSequence(name));
      if (found) return found;
      throw new ApplianceError('config_invalid', `checks.smoke: there is no sequence ${name}`, {
        left: 'nothing was touched',
        hint: 'write it under checks.sequences in appliance.yaml, or name a policy that brings one along: iswitch, routing-ml, flash, ml-pipeline, mlops',
      });
    }),
  );
}

/** Smoke tests of one subject. @param whole false: the sequences alone, as in a deploy before the shift */
export async function smokeChecks(
  parts: CheckParts,
  subject: Subject,
  sequences: readonly Sequence[],
  demands: PolicyDemands | undefined,
  whole: boolean,
): Promise<Check[]> {
  const topology = (await parts.observer.topologies(subject.release))[subject.colour];
  const hands: SequenceHands = {
    destination: await destinations(parts, subject, topology),
    environment: await parts.store.environment(subject.release),
    through: subject.through,
    headers: markHeader,
  };
  const ask = askDatabase(parts);
  return [
    ...(subject.through === 'colour' || whole ? [instancesCheck(instancesOf(parts, topology))] : []),
    ...sequences.flatMap((sequence) => sequenceChecks(sequence, hands)),
    ...(demands?.tables ? [tablesCheck(ask, demands.tables)] : []),
    ...(whole ? [migrationCheck(async () => schemaOf(parts, subject.release))] : []),
  ];
}

async function schemaOf({ store }: CheckParts, release: string) {
  const { schema } = await store.manifest(release);
  return { wanted: schema?.version ?? null, today: store.databaseSchema() };
}

async function destinations(
  { config, paths }: CheckParts,
  { through }: Subject,
  topology: Topology,
): Promise<SequenceHands['destination']> {
  const host = config.edge.domains[0] ?? 'localhost';
  const domain = host.replace(/^\*\./, 'www.');
  if (through === 'edge') {
    // A certificate of one's own counts for one's own edge.
    const ca = await ownChain({ config, paths }, domain);
    return (_, https): Destination => {
      const { host: address, port } = reachable(https ? config.edge.https : config.edge.http);
      return {
        protocol: https ? 'https' : 'http',
        address,
        port,
        host: domain,
        ca: https ? ca : undefined,
      };
    };
  }
  return (path, _, service) => {
    const port = service === undefined ? undefined : config.services[service]?.probe?.port;
    const straight = service !== undefined && port !== undefined ? { service, port } : undefined;
    if (service !== undefined && !straight) return { why: `no service ${service} has a probe with a port` };
    const route = straight ?? routeFor(topology.routes ?? config.routes, path);
    const [address] = route ? (topology.addresses[route.service] ?? []) : [];
    if (!route || address === undefined) return { why: `no route leads ${path} to a service` };
    return { protocol: 'http', address, port: route.port, host };
  };
}

/** Every container of the release whose service has an HTTP probe. */
function instancesOf({ config }: Pick<CheckParts, 'config'>, { addresses }: Topology): Instance[] {
  return Object.entries(addresses).flatMap(([name, all]) => {
    const probe = config.services[name]?.probe;
    if (probe?.type !== 'http') return [];
    const { port, path, status } = probe;
    return all.map((address) => ({ name: `${name} at ${address}`, address, port, path, status }));
  });
}

/** Milliseconds that the database gets to answer. */
const patience = 5_000;
const psql =
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell of the container fills it in
  'exec psql -XAtq -U "${POSTGRES_USER:-postgres}" -d "${POSTGRES_DB:-${POSTGRES_USER:-postgres}}" -c "$1"';

/** Asks the PostgreSQL of `monitoring.database` inside its container: no password and no network is needed. */
function askDatabase({ config, engine }: Pick<CheckParts, 'config' | 'engine'>): AskDatabase {
  return async (query, signal) => {
    const service = config.monitoring?.database?.service;
    if (service === undefined) return null;
    const labels = [`${labelKeys.name}=${config.name}`, `${labelKeys.role}=core`, `${labelKeys.service}=${service}`];
    const [container] = await engine.containers(labels);
    if (!container) throw new Error(`no container of ${service} runs`);
    const said = await engine.exec(container.id, ['sh', '-c', psql, 'sh', query], { timeout: patience, signal });
    if (said.exitCode !== 0) throw new Error(said.stderr.trim().split('\n')[0] || `psql ended with ${said.exitCode}`);
    return said.stdout.split('\n').filter((line) => line !== '');
  };
}
