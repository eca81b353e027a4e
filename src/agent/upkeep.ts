import { type ConnectionUse, connectionUse } from '../capabilities/checks/upkeep/connections.ts';
import type { SecretAges } from '../capabilities/checks/upkeep/secret-ages.ts';
import { heldSecrets, type SecretFile } from '../capabilities/checks/upkeep/secrets.ts';
import { labelKeys, type StackRelease } from '../capabilities/stack/index.ts';
import { unescapeDollar } from '../capabilities/stack/model.ts';
import type { Config } from '../config/schema.ts';
import type { Engine } from '../host/docker.ts';
import type { Clock } from '../lib/clock.ts';
import { ApplianceError, asApplianceError } from '../lib/errors.ts';
import type { CertificateEnd } from './certificates.ts';

/** Milliseconds that the database gets to answer. */
const patience = 5_000;

export interface UpkeepDeps {
  readonly config: Config;
  readonly clock: Pick<Clock, 'now'>;
  readonly engine: Pick<Engine, 'containers' | 'exec'>;
  readonly ages: SecretAges;
  /** When the certificate of each domain ends. */
  readonly certificates: () => Promise<readonly CertificateEnd[]>;
  /** The live release; undefined before the first deploy. */
  readonly live: () => Promise<Pick<StackRelease, 'project'> | undefined>;
}

/** What was seen at one look. What could not be seen is absent, and `problems` says why: an alert must not go blind unseen. */
export interface UpkeepReading {
  /** Name of a secret → milliseconds since 1970 since when it has its value. */
  readonly secrets: ReadonlyMap<string, number>;
  readonly certificates: readonly CertificateEnd[];
  readonly connections: (ConnectionUse & { readonly service: string }) | undefined;
  readonly problems: readonly ApplianceError[];
}

/** Looks at what grows old or runs out by itself: secrets (S0-17, S2-28), certificates (S1-60), connections (S1-59). */
export class Upkeep {
  readonly #deps: UpkeepDeps;

  constructor(deps: UpkeepDeps) {
    this.#deps = deps;
  }

  /** Never throws. */
  async look(): Promise<UpkeepReading> {
    const { config, clock, ages, certificates, live } = this.#deps;
    const problems: ApplianceError[] = [];
    const seen = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
      try {
        return await work();
      } catch (error) {
        problems.push(asApplianceError(error));
        return undefined;
      }
    };
    const [secrets, ends, connections] = await Promise.all([
      seen(async () => ages.look(await heldSecrets(config, mountedSecrets(await live())), clock.now())),
      seen(certificates),
      seen(() => this.#connections()),
    ]);
    return { secrets: secrets ?? new Map(), certificates: ends ?? [], connections, problems };
  }

  async #connections(): Promise<UpkeepReading['connections']> {
    const { config, engine } = this.#deps;
    const service = config.monitoring?.database?.service;
    if (service === undefined) return undefined;
    const labels = [`${labelKeys.name}=${config.name}`, `${labelKeys.role}=core`, `${labelKeys.service}=${service}`];
    const [container] = await engine.containers(labels);
    // Before the first deploy there is none, and a stack that is down has nothing that could run out.
    if (!container) return undefined;
    if (container.state !== 'running') {
      throw new ApplianceError('not_measured', `${service} does not run: its connections cannot be counted`, {
        hint: `appliance logs ${service}`,
      });
    }
    return { service, ...(await connectionUse((argv) => engine.exec(container.id, argv, { timeout: patience }))) };
  }
}

/** `secrets:` of the Compose file, as a release has frozen them. */
function mountedSecrets(release: Pick<StackRelease, 'project'> | undefined): SecretFile[] {
  return Object.entries(release?.project.model.secrets ?? {}).flatMap(([name, { file }]) =>
    file === undefined ? [] : [{ name: `secrets.${name}`, path: unescapeDollar(file) }],
  );
}
