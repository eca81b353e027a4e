import { join } from 'node:path';

/** Every path the appliance uses on the host (CONTRACT "Paths"). */
export interface Paths {
  /** `APPLIANCE_ROOT`, or undefined on a host-wide installation. */
  readonly root: string | undefined;
  readonly etc: string;
  readonly lib: string;
  readonly run: string;
  readonly log: string;
  readonly config: string;
  readonly state: string;
  readonly releases: string;
  readonly edge: string;
  readonly core: string;
  /** Configuration and measurements that the containers of monitoring read. */
  readonly monitoring: string;
  readonly operatorSocket: string;
  readonly viewerSocket: string;
  readonly nonces: string;
}

/**
 * Where things are.
 * @param root moves every path under one folder (`APPLIANCE_ROOT`), so that many appliances can run side by side.
 */
export function pathsFor(root?: string): Paths {
  const [etc, lib, run, log] = root
    ? [join(root, 'etc'), join(root, 'lib'), join(root, 'run'), join(root, 'log')]
    : ['/etc/appliance', '/var/lib/appliance', '/run/appliance', '/var/log/appliance'];
  return {
    root,
    etc,
    lib,
    run,
    log,
    config: join(etc, 'appliance.yaml'),
    state: join(lib, 'state.db'),
    releases: join(lib, 'releases'),
    edge: join(lib, 'edge'),
    core: join(lib, 'core'),
    monitoring: join(lib, 'monitoring'),
    operatorSocket: join(run, 'agent.sock'),
    viewerSocket: join(run, 'view.sock'),
    nonces: join(run, 'nonces'),
  };
}
