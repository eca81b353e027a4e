import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { colours } from '../../../lib/colour.ts';
import { defineStep } from '../../../operations/step.ts';
import { colourProject } from '../colour-model.ts';
import { coreProject } from '../core-model.ts';
import { labelKeys } from '../transform.ts';
import type { StackDeps } from './deps.ts';
import { removeContainers } from './retire.ts';

/** Seconds that a database gets to write down what it has. */
const grace = 30;

/** Removes the core containers and both networks, and the data only when that was asked for. */
export function removeCore(deps: StackDeps) {
  const projectName = coreProject(deps.name);
  const containers = () => deps.engine.containers([`com.docker.compose.project=${projectName}`]);
  return defineStep({
    action: 'remove-core',
    args: z.object({ volumes: z.boolean() }),
    async apply({ volumes }, context) {
      await deps.compose.endOrphans(projectName, deps.modelDirectory);
      const all = await containers();
      await removeContainers(deps, all, { seconds: grace }, context);
      const networks = Object.fromEntries(
        colours.map((colour) => [colour, { name: colourProject(deps.name, colour) }]),
      );
      await deps.compose.down({
        projectName,
        directory: deps.modelDirectory,
        files: [],
        envFile: 'none',
        // Compose only looks after networks that a service uses.
        overlay: { name: projectName, services: { core: { image: 'none', networks: [...colours] } }, networks },
        signal: context.signal,
      });
      await rm(join(deps.modelDirectory, 'core.json'), { force: true });
      const data = volumes ? await deps.engine.volumes([`${labelKeys.name}=${deps.name}`]) : [];
      for (const name of data) await deps.engine.removeVolume(name);
      return volumes ? `core and ${data.length} volumes removed` : 'core removed, data kept';
    },
    async verify({ volumes }) {
      const left = (await containers()).map(({ name }) => name);
      if (volumes) left.push(...(await deps.engine.volumes([`${labelKeys.name}=${deps.name}`])));
      return {
        id: 'core-removed',
        verdict: left.length === 0 ? 'pass' : 'fail',
        observed: left.length === 0 ? 'nothing is left' : `${left.join(', ')} are still there`,
      };
    },
  });
}
