import type { Client } from '../api/client.ts';

/** Entries of the audit log that are asked for. */
const newestEntries = 200;

/** What screens show besides the status: asked for while such a screen is open, and again when something happened. */
export const sources = {
  releases: (client: Client, signal: AbortSignal) => client.ask('releases', {}, signal),
  models: (client: Client, signal: AbortSignal) => client.ask('models', {}, signal),
  alerts: (client: Client, signal: AbortSignal) => client.ask('alerts', {}, signal),
  audit: (client: Client, signal: AbortSignal) => client.ask('audit', { limit: newestEntries }, signal),
} as const;

export type DocumentName = keyof typeof sources;

/** A document as it was answered last, or why it could not be. */
export interface Answered<Data> {
  readonly data: Data | undefined;
  readonly problem: { readonly message: string; readonly hint: string | undefined } | undefined;
}

export type Documents = { readonly [Name in DocumentName]?: Answered<Awaited<ReturnType<(typeof sources)[Name]>>> };
