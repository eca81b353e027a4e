import type { ContainerDetail } from '../../../host/docker.ts';
import type { PlannedProject } from '../colour-model.ts';
import { networkName } from '../model.ts';
import { containersOf, serviceOf } from './containers.ts';
import type { StackDeps } from './deps.ts';

/**
 * Puts a project into a state that `up` can start from: no earlier call still at work, nothing left of an interrupted
 * recreate, all volumes there, nothing paused.
 */
export async function prepareProject(deps: StackDeps, planned: PlannedProject): Promise<void> {
  await deps.compose.endOrphans(planned.projectName, deps.modelDirectory);
  for (const volume of planned.volumes) if (volume.ours) await deps.compose.ensureVolume(volume);
  await deps.compose.repairInterruptedRecreate(planned.projectName);
  await unpause(deps, planned.projectName);
}

/** Lets containers go on that somebody has paused: Compose refuses to start them. */
async function unpause({ engine }: Pick<StackDeps, 'engine'>, projectName: string): Promise<void> {
  const paused = (await containersOf(engine, projectName)).filter(({ state }) => state === 'paused');
  await Promise.all(paused.map(({ id }) => engine.unpause(id)));
}

/**
 * Brings containers of a project back onto the networks of their model, each under its names and at its fixed address:
 * Compose compares definitions, not what runs. Containers of another release must be gone, they may hold the addresses.
 */
export async function reattach(
  { engine }: Pick<StackDeps, 'engine'>,
  { projectName, model }: Pick<PlannedProject, 'projectName' | 'model'>,
): Promise<void> {
  for (const summary of await containersOf(engine, projectName)) {
    const service = serviceOf(summary);
    const attachments = model.services[service]?.networks ?? {};
    const detail = await engine.inspect(summary.id);
    if (!detail) continue;
    for (const [key, attachment] of Object.entries(attachments)) {
      const network = networkName(model, key);
      const address = typeof attachment?.ipv4_address === 'string' ? attachment.ipv4_address : undefined;
      if (isAttached(detail, network, address)) continue;
      if (detail.addresses[network] !== undefined) await engine.disconnect(network, detail.id);
      const aliases = [detail.name, service, ...(attachment?.aliases ?? [])];
      await engine.connect(network, detail.id, { ...(address === undefined ? {} : { address }), aliases });
    }
  }
}

/** A container that does not run has no address; the engine keeps the one that it will get. */
function isAttached({ addresses, running }: ContainerDetail, network: string, wanted: string | undefined): boolean {
  const actual = addresses[network];
  return actual !== undefined && (!running || wanted === undefined || actual === wanted);
}
