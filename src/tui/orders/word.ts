import type { Said } from '../order.ts';

/** A word of a command as a shell wants it. */
export function word(text: string): string {
  return /^[\w@%+=:,./~^-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

export function done(text: string): Said {
  return { verdict: 'pass', text };
}
