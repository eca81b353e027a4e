import { Resolver } from 'node:dns/promises';
import { access, constants } from 'node:fs/promises';
import { z } from 'zod';
import type { PreflightHands } from '../../capabilities/checks/preflight/index.ts';
import { labelKeys } from '../../capabilities/stack/index.ts';
import { composeHands } from '../../host/compose.ts';
import { firewallState } from '../../host/firewall.ts';
import { gpus } from '../../host/gpu.ts';
import { fileSystemUse, processors, totalMemory } from '../../host/machine.ts';
import { availableMemory } from '../../host/memory.ts';
import { holderOf, listeners } from '../../host/ports.ts';
import { clockState } from '../../host/time-sync.ts';
import { type CheckParts, once } from './parts.ts';
import type { repositoryHands } from './source-hands.ts';

/** Host name that is asked for the time where nothing on this host keeps it. */
const timeServer = 'pool.ntp.org';

/** @param tag release that is looked at; undefined: none is known */
export function preflightHands(
  parts: CheckParts,
  { source }: Pick<ReturnType<typeof repositoryHands>, 'source'>,
  tag: string | undefined,
): PreflightHands {
  const { config, paths, clock, core, store, watch } = parts;
  const { monitoring, alerts, edge } = config;
  return {
    processors,
    totalMemory,
    disk: once(() => fileSystemUse(paths.lib)),
    versions: once(() => composeHands.version()),
    ports: {
      wanted: {
        'edge.http': edge.http,
        'edge.https': edge.https,
        ...(monitoring
          ? {
              'monitoring.prometheus': monitoring.prometheus.listen,
              'monitoring.alertmanager': monitoring.alertmanager.listen,
            }
          : {}),
      },
      listeners,
      holderOf,
      ours: () => publishedPorts(parts),
    },
    firewall: firewallState,
    domains: edge.domains,
    resolve: async (name) => {
      const resolver = new Resolver({ timeout: 1_500, tries: 1 });
      try {
        return await resolver.resolve4(name);
      } catch {
        return resolver.resolve6(name);
      }
    },
    clock: (signal) => clockState(timeServer, signal),
    subnets: () => core.peekSubnets(),
    reservedGpus: async () => {
      const live = store.live();
      return live ? reservedGpus((await parts.release(live.release)).project.model.services) : null;
    },
    gpus,
    images: async () => {
      const release = tag === undefined ? store.live()?.release : store.all().find((one) => one.tag === tag)?.id;
      if (release === undefined) return [];
      const images = await store.images(release);
      return Object.entries(images ?? {}).map(([service, { bytes }]) => ({ service, bytes }));
    },
    memoryUse: async () => {
      const live = store.live();
      if (!live) return { used: null, available: await availableMemory() };
      await watch.sample();
      const used = watch.services().filter(({ colour }) => colour === live.colour);
      return {
        used: used.reduce((sum, { memoryBytes }) => sum + (memoryBytes ?? 0), 0),
        available: await availableMemory(),
      };
    },
    source,
    certificates: parts.certificateEnds,
    backupStorage: async () => {
      const { enabled, repository } = config.backups;
      const { directory, free } = await fileSystemUse(repository ?? paths.lib);
      const writable = await access(directory, constants.W_OK).then(
        () => true,
        () => false,
      );
      return { enabled, directory, writable, free };
    },
    monitored: monitoring !== undefined,
    receivers: Object.keys(alerts?.receivers ?? {}).length,
    now: () => clock.now(),
  };
}

/** Ports of the host that containers of this appliance are published at. */
async function publishedPorts({ config, engine }: Pick<CheckParts, 'config' | 'engine'>): Promise<Set<number>> {
  const containers = await engine.containers([`${labelKeys.name}=${config.name}`]);
  const details = await Promise.all(
    containers.filter(({ state }) => state === 'running').map(({ id }) => engine.inspect(id)),
  );
  return new Set(
    details.flatMap((detail) =>
      Object.values(detail?.published ?? {})
        .flat()
        .map((listen) => Number(listen.slice(listen.lastIndexOf(':') + 1))),
    ),
  );
}

const reservation = z.object({
  deploy: z.object({
    resources: z.object({
      reservations: z.object({
        devices: z.array(
          z.object({ capabilities: z.array(z.string()), count: z.union([z.number(), z.string()]).optional() }),
        ),
      }),
    }),
  }),
});

/** GPUs that the services of a release reserve (`deploy.resources.reservations.devices`). Pure. */
export function reservedGpus(services: Readonly<Record<string, unknown>>): number {
  return Object.values(services).reduce<number>((sum, service) => {
    const parsed = reservation.safeParse(service);
    const devices = parsed.success ? parsed.data.deploy.resources.reservations.devices : [];
    const own = devices.filter(({ capabilities }) => capabilities.includes('gpu'));
    return sum + own.reduce((all, { count }) => all + (Number(count) > 0 ? Number(count) : 1), 0);
  }, 0);
}
