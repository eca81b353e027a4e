import type { Config } from './schema.ts';

const hidden = '***';

/** The effective configuration for people and for `--json`: every default filled in, secrets masked. */
export function effective(config: Config): Readonly<Record<string, unknown>> {
  return { ...config, source: { ...config.source, repository: maskUrl(config.source.repository) } };
}

/** A URL without the password or token that stands in front of its host. */
export function maskUrl(text: string): string {
  return text.replace(/^([a-z][a-z0-9+.-]*:\/\/)([^/@\s]+)@/i, (_, scheme: string, user: string) => {
    // A name alone, as in ssh://git@host, is no secret; over HTTP it usually is a token.
    const nameOnly = !user.includes(':') && !/^https?:/i.test(scheme);
    return `${scheme}${nameOnly ? user : hidden}@`;
  });
}
