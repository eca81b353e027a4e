import { readFile } from 'node:fs/promises';
import type { SeenContainer } from '../../capabilities/checks/security/containers.ts';
import type { SecurityHands } from '../../capabilities/checks/security/index.ts';
import { labelKeys } from '../../capabilities/stack/index.ts';
import { reachable } from '../../capabilities/traffic/addresses.ts';
import { askBounded } from '../../host/http-bounded.ts';
import { sendLoad } from '../../host/load.ts';
import { probeTls } from '../../host/tls-probe.ts';
import { loadTarget } from './load-hands.ts';
import { ownChain } from './own-chain.ts';
import { type CheckParts, once } from './parts.ts';
import type { Subject } from './smoke-hands.ts';

/** @param subject the live release, through the edge */
export function securityHands(parts: CheckParts, subject: Subject): SecurityHands {
  const { config, store } = parts;
  const domain = (config.edge.domains[0] ?? 'localhost').replace(/^\*\./, 'www.');
  const https = reachable(config.edge.https);
  const ask = async (path: string, signal: AbortSignal) =>
    askBounded(
      {
        protocol: 'https',
        address: https.host,
        port: https.port,
        host: domain,
        method: 'GET',
        path,
        headers: {},
        ca: await ownChain(parts, domain),
        timeout: 8_000,
      },
      signal,
    );
  return {
    page: (signal) => ask('/', signal),
    ask,
    internal: config.edge.internal,
    probe: (version, signal) => probeTls({ ...https, servername: domain }, version, signal),
    limit: config.edge.rateLimit,
    send: async (requests, signal) => {
      const target = await loadTarget(parts, subject);
      return sendLoad({ ...target, requests, connections: Math.min(20, requests) }, () => undefined, signal);
    },
    containers: once(() => seenContainers(parts)),
    edge: [config.edge.http, config.edge.https],
    images: async () => {
      const images = await store.images(subject.release);
      return Object.entries(images ?? {}).map(([service, { id }]) => ({ service, image: id }));
    },
  };
}

async function seenContainers({ config, engine }: Pick<CheckParts, 'config' | 'engine'>): Promise<SeenContainer[]> {
  const running = (await engine.containers([`${labelKeys.name}=${config.name}`])).filter(
    ({ state }) => state === 'running',
  );
  const details = await Promise.all(
    running.map(async ({ id, name, labels }) => {
      const [detail, rights] = await Promise.all([engine.inspect(id), engine.rights(id)]);
      if (!detail || !rights) return [];
      const published = Object.values(detail.published).flat();
      return [{ name, role: labels[labelKeys.role] ?? '', uid: await userOf(detail.pid), published, ...rights }];
    }),
  );
  return details.flat();
}

/** Effective user id of a process (proc(5): the second number of `Uid:`). */
async function userOf(pid: number): Promise<number | null> {
  if (pid === 0) return null;
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(text)?.[1];
  return uid === undefined ? null : Number(uid);
}
