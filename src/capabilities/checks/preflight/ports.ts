import type { Listener } from '../../../host/ports.ts';
import { count } from '../../../lib/text.ts';
import { type Check, fail, inconclusive, pass } from '../check.ts';

export interface PortHands {
  /** `edge.http` and the like → `127.0.0.1:8080` or `8080`. */
  readonly wanted: Readonly<Record<string, string>>;
  readonly listeners: () => Promise<Listener[]>;
  readonly holderOf: (inode: string) => Promise<string | undefined>;
  /** Ports of the host that containers of this appliance are published at. */
  readonly ours: () => Promise<ReadonlySet<number>>;
}

/** The ports of the edge and of monitoring are free, or held by this appliance itself (S1-6, S1-27). */
export function portsCheck({ wanted, listeners, holderOf, ours }: PortHands): Check {
  return {
    id: 'preflight.ports',
    group: 'preflight',
    requirement: ['S1-6', 'S1-27'],
    about: 'ports',
    expected: 'free, or held by this appliance',
    hint: 'stop what holds it, or choose another port in appliance.yaml',
    look: async () => {
      const [held, own] = await Promise.all([listeners(), ours().catch(() => undefined)]);
      const taken = Object.entries(wanted).flatMap(([key, listen]) => {
        const { address, port } = partsOf(listen);
        const other = held.find((one) => one.port === port && meet(one.address, address));
        return other && !own?.has(port) ? [{ key, port, other }] : [];
      });
      const all = Object.values(wanted).map((listen) => partsOf(listen).port);
      if (taken.length === 0) return pass(`${count(all.length, 'port')}: ${all.join(', ')}`);
      const names = await Promise.all(
        taken.map(
          async ({ key, port, other }) =>
            `${port} (${key}) by ${(await holderOf(other.inode)) ?? 'a process of another user'}`,
        ),
      );
      const observed = `held: ${names.join('; ')}`;
      // Who does not answer which containers are ours cannot be told from a stranger.
      return own === undefined
        ? inconclusive(`${observed}; the engine does not say whether they are ours`)
        : fail(observed);
    },
  };
}

function partsOf(listen: string): { address: string; port: number } {
  const at = listen.lastIndexOf(':');
  return {
    address: at < 0 ? '0.0.0.0' : listen.slice(0, at).replace(/^\[|\]$/g, ''),
    port: Number(listen.slice(at + 1)),
  };
}

const everywhere = new Set(['0.0.0.0', '::']);

/** Whether two sockets cannot both listen on one port. */
function meet(a: string, b: string): boolean {
  return a === b || everywhere.has(a) || everywhere.has(b);
}
