import type { Readable, Writable } from 'node:stream';
import type { Engine } from '../../host/docker.ts';
import { ApplianceError } from '../../lib/errors.ts';

/** A running PostgreSQL server, as far as a restore needs it. */
export interface RestoreServer {
  readonly service: string;
  /** The account that may create databases. */
  readonly user: string;
  /** Runs a program in its container. */
  exec(
    argv: readonly string[],
    options: {
      readonly stdin?: Readable;
      /** Where all of its output goes; by default only the end of it is kept. */
      readonly stdout?: Writable;
      readonly timeout: number;
      readonly signal: AbortSignal;
    },
  ): Promise<{ readonly exitCode: number; readonly stdout: string; readonly stderr: string }>;
  /** Runs a program in its container that reads a file of this host, however large. */
  execFrom(
    argv: readonly string[],
    options: { readonly file: string; readonly timeout: number; readonly signal: AbortSignal },
  ): Promise<{ readonly exitCode: number; readonly stderr: string }>;
}

/** The server in a container. */
export function serverIn(
  engine: Pick<Engine, 'execStream' | 'execFrom'>,
  { service, user, container }: Pick<RestoreServer, 'service' | 'user'> & { readonly container: string },
): RestoreServer {
  return {
    service,
    user,
    exec: (argv, options) => engine.execStream(container, { argv, ...options }),
    execFrom: (argv, options) => engine.execFrom(container, { argv, ...options }),
  };
}

/** What psql and pg_restore say, and what is said for them, while a server is away: going down, coming up, or gone. */
const away =
  /the database system is (?:starting up|shutting down|in recovery mode|not (?:yet )?accepting)|connection to server [^\n]* failed: (?:No such file|Connection refused)|server closed the connection|terminating connection due to|the container does not run/i;

/**
 * What is told when a server refuses something.
 * @param said what its program wrote
 * @returns `disk_full`; `database_unreachable` where waiting may help; else `restore_failed`
 */
export function restoreFailed({ service }: RestoreServer, what: string, said: string): ApplianceError {
  const why = said.trim().split('\n').slice(-5).join('\n');
  const full = /no space left on device/i.test(said);
  const code = full ? 'disk_full' : away.test(said) ? 'database_unreachable' : 'restore_failed';
  return new ApplianceError(code, why === '' ? `${service}: ${what}` : `${service}: ${what}: ${why}`, {
    left: 'the database in use was not replaced',
    hint: full
      ? 'free some space, then run the command again'
      : `look at its log: appliance logs ${service}; then run the command again`,
  });
}
