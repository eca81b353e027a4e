import type { Readable, Writable } from 'node:stream';
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
}

/** What is told when a server refuses something. @param said what its program wrote */
export function restoreFailed({ service }: RestoreServer, what: string, said: string): ApplianceError {
  const why = said.trim().split('\n').slice(-5).join('\n');
  const full = /no space left on device/i.test(said);
  return new ApplianceError(
    full ? 'disk_full' : 'restore_failed',
    why === '' ? `${service}: ${what}` : `${service}: ${what}: ${why}`,
    {
      left: 'the database in use was not replaced',
      hint: full
        ? 'free some space, then run the command again'
        : `look at its log: appliance logs ${service}; then run the command again`,
    },
  );
}
