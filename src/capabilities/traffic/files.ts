import { join } from 'node:path';
import type { Colour } from '../../lib/colour.ts';
import type { Paths } from '../../lib/paths.ts';

/** Files that agent and edge share. The edge sees `<lib>/edge` as `/edge`. */
export interface EdgeFiles {
  readonly confDirectory: string;
  /** The configuration that nginx serves, or will serve when it starts. */
  readonly conf: string;
  /** A candidate that nginx has not accepted yet. */
  readonly next: string;
  readonly nextInside: string;
  /** The configuration before the last change, for undo. */
  readonly previous: string;
  /** Generation of a change that is not known to be served yet. */
  readonly pending: string;
  readonly stateDirectory: string;
  readonly weights: string;
  /** Which release stands on which colour. */
  readonly releases: string;
  /** Marker files: where one exists, nginx gives every request to that colour without asking its script. */
  readonly markers: Readonly<Record<Colour, string>>;
  /** While it is there, nginx looks whether a request is to be copied for the idle colour. */
  readonly shadow: string;
  readonly control: string;
  readonly accessLog: string;
  readonly errorLog: string;
}

export const shadowName = 'shadow';

export function markerName(colour: Colour): string {
  return `all-${colour}`;
}

export function edgeFiles(paths: Paths): EdgeFiles {
  const confDirectory = join(paths.edge, 'conf');
  const stateDirectory = join(paths.edge, 'state');
  const log = join(paths.log, 'edge');
  return {
    confDirectory,
    conf: join(confDirectory, 'nginx.conf'),
    next: join(confDirectory, 'nginx.conf.next'),
    nextInside: '/edge/conf/nginx.conf.next',
    previous: join(confDirectory, 'nginx.conf.previous'),
    pending: join(confDirectory, 'pending'),
    stateDirectory,
    weights: join(stateDirectory, 'weights.json'),
    releases: join(stateDirectory, 'releases.json'),
    markers: { blue: join(stateDirectory, markerName('blue')), green: join(stateDirectory, markerName('green')) },
    shadow: join(stateDirectory, shadowName),
    control: join(paths.edge, 'run', 'control.sock'),
    accessLog: join(log, 'access.log'),
    errorLog: join(log, 'error.log'),
  };
}
