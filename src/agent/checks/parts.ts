import type { Check } from '../../capabilities/checks/check.ts';
import type { ReleaseStore } from '../../capabilities/releases/store.ts';
import type { CoreStore } from '../../capabilities/stack/core-store.ts';
import type { StackRelease } from '../../capabilities/stack/index.ts';
import type { Config } from '../../config/schema.ts';
import type { Engine } from '../../host/docker.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Paths } from '../../lib/paths.ts';
import type { CertificateEnd } from '../certificates.ts';
import type { ContainerWatch } from '../containers.ts';
import type { Observer } from '../observer.ts';
import type { Upkeep } from '../upkeep.ts';

/** What of an appliance its checks look at. */
export interface CheckParts {
  readonly config: Config;
  readonly paths: Paths;
  readonly clock: Clock;
  readonly engine: Engine;
  readonly store: ReleaseStore;
  readonly core: CoreStore;
  readonly watch: ContainerWatch;
  readonly observer: Observer;
  readonly upkeep: Upkeep;
  /** The models directory; undefined where appliance.yaml has none. */
  readonly modelDirectory: string | undefined;
  /** When the certificate of each domain ends. */
  readonly certificateEnds: () => Promise<readonly CertificateEnd[]>;
  readonly release: (id: string) => Promise<StackRelease>;
  /** The checklist of the live release some time after its deploy; empty before the first. */
  readonly postDeploy: (policy: string | undefined, records: boolean) => Promise<Check[]>;
}

/** Calls a function once, however often it is asked. */
export function once<Args extends readonly unknown[], T>(
  work: (...args: Args) => Promise<T>,
): (...args: Args) => Promise<T> {
  let result: Promise<T> | undefined;
  return (...args) => {
    result ??= work(...args);
    return result;
  };
}
