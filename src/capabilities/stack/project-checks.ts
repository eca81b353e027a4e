import { dirname, join } from 'node:path';
import type { Config } from '../../config/schema.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { didYouMean } from '../../lib/near.ts';
import { isLoopback } from './addresses.ts';
import { insideCheckout, isPersistent } from './checkout.ts';
import { type ComposeModel, replicasOf, unescapeDollar } from './model.ts';
import { roleOf } from './project.ts';

/** Most fixed addresses that a colour has (.10 to .127). */
const maxReplicas = 118;
/** Name of our own service in the core project. */
const reserved = 'edge';

export function invalid(problems: readonly string[], hint?: string): ApplianceError {
  const shown = problems.slice(0, 10).join('\n  ');
  return new ApplianceError(
    'compose_invalid',
    problems.length === 1 ? shown : `the Compose project cannot be run in two colours:\n  ${shown}`,
    { left: 'nothing was touched', hint },
  );
}

/** The services of Compose and of appliance.yaml must be the same; an ignored one may be missing (profile not enabled). */
export function checkDeclared(config: Config, model: ComposeModel): void {
  const inModel = Object.keys(model.services);
  const declared = Object.keys(config.services);
  const near = (name: string, known: readonly string[]) => {
    const hint = didYouMean(name, known);
    return hint ? `; ${hint}` : '';
  };
  const problems = [
    ...inModel
      .filter((name) => !declared.includes(name))
      .map((name) => `service ${name} of the Compose project has no entry in appliance.yaml${near(name, declared)}`),
    ...declared
      .filter((name) => !inModel.includes(name) && roleOf(config, name) !== 'ignore')
      .map((name) => `service ${name} of appliance.yaml is not in the Compose project${near(name, inModel)}`),
  ];
  if (problems.length > 0) {
    const hint = 'give every service a role under services: in appliance.yaml (app, core, migrate, job or ignore)';
    throw invalid(problems, hint);
  }
}

/** What of a model cannot be run in two colours, beyond single services. */
export function crossProblems(config: Config, model: ComposeModel): string[] {
  const problems: string[] = [];
  let addresses = 0;
  for (const [name, service] of Object.entries(model.services)) {
    const role = roleOf(config, name);
    if (role === 'ignore') continue;
    if (name === reserved) problems.push(`${name}: this name belongs to the edge; rename the service`);
    if (role === 'app') addresses += replicasOf(service);
    if (role === 'app' && replicasOf(service) > 1) {
      for (let index = 1; index <= replicasOf(service); index += 1) {
        if (model.services[`${name}-${index}`])
          problems.push(`${name}-${index}: this name belongs to a replica of ${name}; rename the service`);
      }
    }
    if (role === 'app' && replicasOf(service) === 0 && config.routes.some((route) => route.service === name))
      problems.push(`${name}: it has a route, but no replicas`);
    if (role === 'core' && replicasOf(service) !== 1)
      problems.push(`${name}: a core service runs exactly once, but ${replicasOf(service)} replicas are asked for`);
    if (service.image === undefined && service.build === undefined)
      problems.push(`${name}: it has neither image nor build`);
  }
  if (addresses > maxReplicas)
    problems.push(`the app services have ${addresses} replicas; a colour has room for ${maxReplicas}`);
  for (const volume of config.volumes.perColour) {
    const known = Object.keys(model.volumes ?? {});
    if (!known.includes(volume))
      problems.push(`volumes.perColour: there is no volume ${volume}; ${didYouMean(volume, known) ?? 'remove it'}`);
  }
  for (const kind of ['secrets', 'configs'] as const) {
    for (const [name, object] of Object.entries(model[kind] ?? {}))
      if (object.external) problems.push(`${kind}.${name}: external: true needs Swarm; use a file or a variable`);
  }
  return problems;
}

/** What is understood differently from plain Compose, for people. */
export function notes(config: Config, model: ComposeModel, checkout: string): string[] {
  const directory = join(checkout, dirname(config.source.compose[0] ?? 'compose.yaml'));
  return Object.entries(model.services)
    .filter(([name]) => roleOf(config, name) !== 'ignore')
    .flatMap(([name, service]) => [
      ...(service.volumes ?? []).flatMap((mount) => {
        const source = unescapeDollar(mount.source ?? '');
        const inner = mount.type === 'bind' ? insideCheckout(checkout, source) : undefined;
        return inner === undefined || mount.read_only || isPersistent(config, directory, source)
          ? []
          : [`${name} can write to ${inner}, which belongs to one release; what it writes ends with the release`];
      }),
      ...(roleOf(config, name) === 'core'
        ? (service.ports ?? [])
            .filter(({ host_ip: address }) => !isLoopback(address))
            .map(({ target }) => `${name}: port ${target} is not published: core services only listen on loopback`)
        : []),
    ]);
}
