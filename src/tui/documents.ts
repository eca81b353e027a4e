import type { Client } from '../api/client.ts';

/** Entries of the audit log that are asked for. */
const newestEntries = 200;

/** A list of snapshots costs the agent a container, that of certificates a handshake each: they wait longer to be asked again. */
const longWait = { backups: 300_000, certificates: 60_000 } as const;
const usualWait = 10_000;

/** Milliseconds after which a document is asked for although nothing was heard. */
export function waitOf(name: DocumentName): number {
  return name === 'backups' || name === 'certificates' ? longWait[name] : usualWait;
}

/** What screens show besides the status: asked for while such a screen is open, and again when something happened. */
export const sources = {
  releases: (client: Client, signal: AbortSignal) => client.ask('releases', {}, signal),
  models: (client: Client, signal: AbortSignal) => client.ask('models', {}, signal),
  alerts: (client: Client, signal: AbortSignal) => client.ask('alerts', {}, signal),
  backups: async (client: Client, signal: AbortSignal) => {
    const [snapshots, jobs] = await Promise.all([
      client.ask('backups', {}, signal),
      client.ask('schedule', {}, signal),
    ]);
    return { snapshots, jobs };
  },
  certificates: (client: Client, signal: AbortSignal) => client.ask('certs', {}, signal),
  checks: (client: Client, signal: AbortSignal) => client.ask('checkVerdicts', {}, signal),
  audit: (client: Client, signal: AbortSignal) => client.ask('audit', { limit: newestEntries }, signal),
} as const;

export type DocumentName = keyof typeof sources;

/** A document as it was answered last, or why it could not be. */
export interface Answered<Data> {
  readonly data: Data | undefined;
  readonly problem: { readonly message: string; readonly hint: string | undefined } | undefined;
}

export type Documents = { readonly [Name in DocumentName]?: Answered<Awaited<ReturnType<(typeof sources)[Name]>>> };
