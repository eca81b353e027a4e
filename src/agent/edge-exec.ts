import type { Engine } from '../host/docker.ts';
import { ApplianceError } from '../lib/errors.ts';

/**
 * Runs a program in the edge's container.
 * @param options `timeout` in milliseconds
 * @throws ApplianceError `edge_unreachable` when it does not run
 */
export async function execInEdge(
  engine: Engine,
  name: string,
  argv: readonly string[],
  options: { readonly signal?: AbortSignal; readonly timeout: number },
) {
  const [edge] = (await engine.containers([`appliance.name=${name}`, 'appliance.role=edge'])).filter(
    ({ state }) => state === 'running',
  );
  if (!edge) {
    throw new ApplianceError('edge_unreachable', 'the edge does not run', {
      left: 'its configuration and weights are kept on disk',
      hint: 'start it: appliance up',
    });
  }
  return engine.exec(edge.id, argv, options);
}
