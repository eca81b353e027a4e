import { type Check, fail, inconclusive, pass } from '../check.ts';

/** A running container of the appliance. */
export interface SeenContainer {
  readonly name: string;
  /** `app`, `core`, `edge`, `monitoring` … */
  readonly role: string;
  /** User id of its main process on this host; null when it cannot be told. */
  readonly uid: number | null;
  readonly privileged: boolean;
  readonly mounts: readonly {
    readonly type: string;
    readonly source: string;
    readonly target: string;
    readonly writable: boolean;
  }[];
  /** Where it is published on the host: `127.0.0.1:8080`. */
  readonly published: readonly string[];
}
type Look = () => Promise<readonly SeenContainer[]>;

const none = inconclusive('nothing runs', { hint: 'appliance up' });
const socket = /\/(?:docker|containerd|podman)(?:\/[\w.-]+)?\.sock$/;

/** No process of the application is root (S4-6). nginx must be, to listen where browsers look; its workers are not. */
export function rootCheck(containers: Look): Check {
  return {
    id: 'security.root',
    group: 'security',
    requirement: ['S4-6'],
    about: 'containers as root',
    expected: 'none but the edge, whose workers are not; none privileged',
    hint: 'write USER into its Dockerfile, or user: into its service',
    look: async () => {
      const found = (await containers()).filter(({ role }) => role !== 'edge');
      if (found.length === 0) return none;
      const bad = [
        ...found.filter(({ uid }) => uid === 0).map(({ name }) => `${name} is root`),
        ...found.filter(({ privileged }) => privileged).map(({ name }) => `${name} is privileged`),
      ];
      const untold = found.filter(({ uid }) => uid === null).length;
      if (bad.length > 0) return fail(bad.join(', '), { samples: found.length });
      return untold > 0
        ? inconclusive(`of ${untold} the user cannot be told`, { samples: found.length - untold, needed: untold })
        : pass(`${found.length} looked at`, { samples: found.length });
    },
  };
}

/** No container can reach the engine, and what is mounted from the host is read-only (S2-5, S2-30, S4-6). */
export function mountsCheck(containers: Look): Check {
  return {
    id: 'security.mounts',
    group: 'security',
    requirement: ['S2-5', 'S2-30', 'S4-6'],
    about: 'mounts',
    expected: 'no socket of the engine; files of the host read-only in app services',
    hint: 'add :ro to the mount, or use a named volume for what is written',
    look: async () => {
      const found = await containers();
      if (found.length === 0) return none;
      const bad = found.flatMap(({ name, role, mounts }) =>
        mounts.flatMap(({ type, source, target, writable }) => {
          if (socket.test(source)) return [`${name} has the socket ${source}`];
          return role === 'app' && type === 'bind' && writable ? [`${name} can write ${target}`] : [];
        }),
      );
      return bad.length > 0
        ? fail([...new Set(bad)].join(', '), { samples: found.length })
        : pass(`${found.length} looked at`, { samples: found.length });
    },
  };
}

/** Nothing but the edge can be reached from outside of the host (S0-4, S2-32). @param edge where that is published */
export function exposedPortsCheck(containers: Look, edge: readonly string[]): Check {
  const ports = new Set(edge.map((listen) => listen.slice(listen.lastIndexOf(':') + 1)));
  return {
    id: 'security.exposed-ports',
    group: 'security',
    requirement: ['S0-4', 'S2-32'],
    about: 'ports that others can reach',
    expected: 'those of the edge alone; everything else on 127.0.0.1',
    hint: 'write 127.0.0.1: in front of it',
    look: async () => {
      const found = await containers();
      if (found.length === 0) return none;
      const open = found.flatMap(({ name, role, published }) =>
        published
          .filter(
            (listen) =>
              !/^(?:127\.|\[::1\])/.test(listen) &&
              !(role === 'edge' && ports.has(listen.slice(listen.lastIndexOf(':') + 1))),
          )
          .map((listen) => `${name} at ${listen}`),
      );
      return open.length > 0
        ? fail([...new Set(open)].join(', '), { samples: found.length })
        : pass(`${found.length} containers looked at`, { samples: found.length });
    },
  };
}
