import { hidden, maskUrls } from '../lib/urls.ts';
import type { Config } from './schema.ts';

/** The effective configuration for people and for `--json`: every default filled in, secrets masked. */
export function effective(config: Config): Readonly<Record<string, unknown>> {
  const { synthetic } = config;
  return {
    ...config,
    source: { ...config.source, repository: maskUrls(config.source.repository) },
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
