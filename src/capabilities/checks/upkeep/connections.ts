import { ApplianceError } from '../../../lib/errors.ts';

export interface ConnectionUse {
  readonly used: number;
  /** Most that ordinary users may have. */
  readonly limit: number;
}

interface Said {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What superusers keep for themselves is no use to an application. One of those in use is this question. */
const question = `SELECT count(*) - 1, current_setting('max_connections')::int
  - current_setting('superuser_reserved_connections')::int FROM pg_stat_activity WHERE backend_type = 'client backend'`;

/** User and database are those of the official image's variables, which every image after it has too. */
const script =
  // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell of the container fills it in
  'exec psql -XAtq -F " " -U "${POSTGRES_USER:-postgres}" -d "${POSTGRES_DB:-${POSTGRES_USER:-postgres}}" -c "$1"';

/**
 * How many connections a PostgreSQL has in use (S1-59, S4-25). Asked inside its container, over its own socket: no password
 * and no connection of the network is needed, and one is kept back for superusers when all others are taken.
 * @param exec runs a program in the container of the database
 * @throws ApplianceError `service_not_found` (no container runs), `timeout`, `engine_…`; `internal` with psql's words
 */
export async function connectionUse(exec: (argv: readonly string[]) => Promise<Said>): Promise<ConnectionUse> {
  const { exitCode, stdout, stderr } = await exec(['sh', '-c', script, 'sh', question]);
  const [, used, limit] = /^(\d+) (\d+)\s*$/.exec(stdout) ?? [];
  if (exitCode === 0 && used !== undefined && limit !== undefined) return { used: Number(used), limit: Number(limit) };
  const why = (stderr.trim() || stdout.trim() || `psql ended with ${exitCode}`).split('\n')[0] ?? '';
  throw new ApplianceError('not_measured', `the connections of the database cannot be counted: ${why}`, {
    left: 'everything else is measured',
    hint: 'monitoring.database.service in appliance.yaml must name a PostgreSQL',
  });
}
