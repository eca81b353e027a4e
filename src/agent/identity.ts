import { readFileSync } from 'node:fs';
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

/** The user of this very process. */
export function processActor(): Actor {
  const uid = process.getuid?.() ?? -1;
  let user = String(uid);
  try {
    user = userInfo().username;
  } catch {
    // A user id without a name.
  }
  return { uid, user, ssh: process.env.SSH_CONNECTION?.split(' ')[0] ?? null };
}

/** Who acts when the agent acts by itself. */
export const agentActor: Actor = { uid: process.getuid?.() ?? -1, user: 'appliance', ssh: null };
