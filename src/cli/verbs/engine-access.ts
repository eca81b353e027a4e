import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { promisify } from 'node:util';
import { ApplianceError, systemCode } from '../../lib/errors.ts';

/** What is asked of the system; given in, so that a test can be a user without rights. */
interface Ways {
  /** Rejects with `EACCES` or `EPERM` when this user may not read and write the socket. */
  readonly mayUse: (socket: string) => Promise<void>;
  /** Address of the engine that the `docker` command talks to: variables and contexts included. */
  readonly engineAddress: () => Promise<string>;
}

const ways: Ways = {
  mayUse: (socket) => access(socket, constants.R_OK | constants.W_OK),
  engineAddress: async () => {
    const args = ['context', 'inspect', '--format', '{{.Endpoints.docker.Host}}'];
    return (await promisify(execFile)('docker', args, { timeout: 5_000 })).stdout.trim();
  },
};

/** Where the engine listens unless a variable or a context says otherwise. */
const usual = 'unix:///var/run/docker.sock';

/**
 * Makes sure that this user may talk to the Docker Engine themselves, as a handed-over terminal must. An engine that is
 * not there at all, or is reached in another way than by a Unix socket, is left for `docker` to judge.
 * @param host DOCKER_HOST
 * @throws ApplianceError `not_permitted`
 */
export async function assertEngineAccess(host: string | undefined, system: Ways = ways): Promise<void> {
  const refusal = await refusedSocket(host || usual, system);
  if (refusal === undefined) return;
  // A context may point elsewhere; that takes a while to find out, so it is asked only now.
  const address = host ? refusal : await system.engineAddress().catch(() => usual);
  const socket = await refusedSocket(address, system);
  if (socket === undefined) return;
  const path = socket.slice(scheme.length);
  throw new ApplianceError('not_permitted', `exec talks to the Docker Engine itself, and you may not use ${path}`, {
    left: 'nothing was run',
    hint: 'use sudo, or join the group docker (whoever is in it has the rights of root)',
  });
}

const scheme = 'unix://';

/** @returns the address, when it is a socket that this user may not use */
async function refusedSocket(address: string, { mayUse }: Ways): Promise<string | undefined> {
  if (!address.startsWith(scheme)) return undefined;
  try {
    await mayUse(address.slice(scheme.length));
    return undefined;
  } catch (error) {
    return ['EACCES', 'EPERM'].includes(systemCode(error) ?? '') ? address : undefined;
  }
}
