import type { Config } from '../../config/schema.ts';
import type { EdgeControl } from '../../host/nginx.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Paths } from '../../lib/paths.ts';
import type { EdgeFiles } from './files.ts';

interface ExecResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program inside the container of the edge. `timeout` is in milliseconds. */
type EdgeExec = (argv: readonly string[], options: { signal?: AbortSignal; timeout: number }) => Promise<ExecResult>;

export interface TrafficDeps {
  readonly config: Config;
  readonly paths: Paths;
  readonly exec: EdgeExec;
  readonly clock: Clock;
  /** Limits of policies on times to answer, in seconds. */
  readonly limits?: () => Promise<readonly number[]>;
}

/** What the parts of this capability share. */
export interface TrafficParts extends TrafficDeps {
  readonly files: EdgeFiles;
  readonly control: EdgeControl;
}
