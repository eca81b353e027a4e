import type { Config } from './schema.ts';

const hidden = '***';

/** The effective configuration for people and for `--json`: every default filled in, secrets masked. */
export function effective(config: Config): Readonly<Record<string, unknown>> {
  const { synthetic } = config;
  return {
    ...config,
    source: { ...config.source, repository: maskUrl(config.source.repository) },
    ...(synthetic && {
      synthetic: {
        ...synthetic,
        requests: synthetic.requests.map((one) => ({ ...one, headers: masked(one.headers) })),
      },
    }),
  };
}

/** Headers by which a client proves who it is. */
const telling = /auth|cookie|key|token|secret|pass/i;

/** A reference to the environment file tells nothing, so it may be seen. */
function masked(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      telling.test(name) && !/\$\{\w+\}/.test(value) ? hidden : value,
    ]),
  );
}

/** A URL without the password or token that stands in front of its host. */
export function maskUrl(text: string): string {
  return text.replace(/^([a-z][a-z0-9+.-]*:\/\/)([^/@\s]+)@/i, (_, scheme: string, user: string) => {
    // A name alone, as in ssh://git@host, is no secret; over HTTP it usually is a token.
    const nameOnly = !user.includes(':') && !/^https?:/i.test(scheme);
    return `${scheme}${nameOnly ? user : hidden}@`;
  });
}
