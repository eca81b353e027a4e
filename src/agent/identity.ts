import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { userInfo } from 'node:os';
import type { Actor } from '../api/schema.ts';

/** A field of a colon-separated database (/etc/passwd, /etc/group) by another field. */
function lookUp(
  file: string,
  by: { readonly field: number; readonly value: string },
  wanted: number,
): string | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
  for (const line of text.split('\n')) {
    const fields = line.split(':');
    if (fields[by.field] === by.value) return fields[wanted];
  }
  return undefined;
}

/** Login name of a user id, or the number itself. */
export function userName(uid: number): string {
  return lookUp('/etc/passwd', { field: 2, value: String(uid) }, 0) ?? String(uid);
}

/** Id of a group, or undefined when this host has no such group. */
export function groupId(name: string): number | undefined {
  const id = lookUp('/etc/group', { field: 0, value: name }, 2);
  return id === undefined ? undefined : Number(id);
}

/** What the kernel says where nobody has logged in (audit(7): AUDIT_UID_UNSET). */
const nobody = 4_294_967_295;

/**
 * The account that logged in to the session of a process. The kernel keeps it through su and sudo, which no variable of an
 * environment does; it is set by pam_loginuid, and not known on a host without it or in a container.
 * @param process a process id, or `self`
 * @param proc where the kernel tells of processes
 */
function loginUid(process: number | 'self', proc = '/proc'): number | undefined {
  try {
    const text = readFileSync(`${proc}/${process}/loginuid`, 'utf8').trim();
    return /^\d+$/.test(text) && Number(text) !== nobody ? Number(text) : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The same of a process that calls, proven by the nonce file that it has made and holds open: a process id by itself is only
 * said.
 */
export function loginOfCaller(
  pid: number,
  nonce: { readonly path: string; readonly dev: number; readonly ino: number },
  proc = '/proc',
): number | undefined {
  const folder = `${proc}/${pid}/fd`;
  try {
    const holds = readdirSync(folder).some((name) => {
      // The name first: looking at a file of somebody else's choice could take for ever.
      if (readlinkSync(`${folder}/${name}`) !== nonce.path) return false;
      const open = statSync(`${folder}/${name}`, { throwIfNoEntry: false });
      return open?.ino === nonce.ino && open.dev === nonce.dev;
    });
    return holds ? loginUid(pid, proc) : undefined;
  } catch {
    // It is gone, or may not be looked at.
    return undefined;
  }
}

/** The user of this very process. */
export function processActor(): Actor {
  const uid = process.getuid?.() ?? -1;
  let user = String(uid);
  try {
    user = userInfo().username;
  } catch {
    // A user id without a name.
  }
  const login = loginUid('self');
  return {
    uid,
    user,
    ssh: process.env.SSH_CONNECTION?.split(' ')[0] ?? null,
    ...(login === undefined || login === uid ? {} : { login: { uid: login, user: userName(login) } }),
  };
}

/** Who acts when the agent acts by itself. */
export const agentActor: Actor = { uid: process.getuid?.() ?? -1, user: 'appliance', ssh: null };
