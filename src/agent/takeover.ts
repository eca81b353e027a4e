import { realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Active } from '../capabilities/models/cache/manifest-cache.ts';
import { adoptInPlace } from '../capabilities/models/import.ts';
import { versionDirectory } from '../capabilities/models/layout.ts';
import { manifestName } from '../capabilities/models/manifest.ts';
import { readPointer } from '../capabilities/models/pointer.ts';
import { hasProvenItself, type ModelRegistry, type ModelVersion } from '../capabilities/models/registry.ts';
import { type ScanOptions, scanDirectory, scanFinding } from '../capabilities/models/scan/index.ts';
import { asApplianceError } from '../lib/errors.ts';
import type { Alerting } from './alerting.ts';

export interface TakeoverDeps {
  /** The models directory. */
  readonly directory: string;
  readonly registry: () => ModelRegistry;
  readonly scanOptions: (signal: AbortSignal) => ScanOptions;
  readonly alerting: Pick<Alerting, 'raise' | 'resolve'>;
}

/** Who writes the history of what nobody has asked this program for. */
const change = { actor: 'unknown', reason: 'it was put in force by hand' };

/** What is to be done when somebody else puts a model in force: `ln -sfn`, `rsync`, an editor. */
export class Takeover {
  readonly #deps: TakeoverDeps;

  constructor(deps: TakeoverDeps) {
    this.#deps = deps;
  }

  /**
   * Scans a model that has not passed its gates, before processes are asked to load it. Raises an alert where it fails.
   * @returns whether it may be loaded
   */
  async isSafe(active: Active, signal: AbortSignal): Promise<boolean> {
    const { directory, alerting, scanOptions } = this.#deps;
    const version = await this.#pointed();
    if (version && version.sha256 === active.digest && hasProvenItself(version)) {
      alerting.resolve('ModelUnsafe');
      return true;
    }
    const place = dirname(active.path);
    // Where the directory itself is the model, a registry and versions lie beside it.
    const names =
      place === (await realpath(directory)) ? [manifestName, ...Object.keys(active.manifest.files)] : undefined;
    const finding = scanFinding(await scanDirectory(place, scanOptions(signal), names));
    if (finding.verdict === 'pass') {
      alerting.resolve('ModelUnsafe');
      return true;
    }
    alerting.raise({
      name: 'ModelUnsafe',
      severity: 'critical',
      summary: `the model that somebody put in force does not pass the scan: ${finding.observed}`,
      hint: 'processes that watch by themselves have loaded it; put another one in force: appliance models rollback',
    });
    return false;
  }

  /** Lets the registry say what serves: state, aliases and history follow the pointer. Raises an alert where they cannot. */
  async record(active: Active, signal: AbortSignal): Promise<void> {
    const { directory, registry: open, alerting } = this.#deps;
    const registry = open();
    if (!registry.writable) return;
    try {
      const pointer = await readPointer(directory);
      if (!pointer) {
        const before = registry.production();
        if (before && before.sha256 !== active.digest) registry.withdrawn(before, change);
        return alerting.resolve('ModelUnregistered');
      }
      let version = registry.version(pointer.name, pointer.version);
      if (!version) {
        const place = versionDirectory(directory, pointer.name, pointer.version);
        const adopted = await adoptInPlace(registry, place, { change, signal });
        if (typeof adopted !== 'string') version = adopted;
      }
      if (version && version.sha256 !== active.digest) return this.#unregistered(version, active);
      if (version) registry.promoted(version, change, 'taken-over');
      alerting.resolve('ModelUnregistered');
    } catch (error) {
      signal.throwIfAborted();
      const { message, hint } = asApplianceError(error);
      const summary = `the registry does not know what is in force: ${message}`;
      alerting.raise({ name: 'ModelUnregistered', severity: 'warning', summary, hint });
    }
  }

  async #pointed(): Promise<ModelVersion | undefined> {
    const pointer = await readPointer(this.#deps.directory);
    return pointer ? this.#deps.registry().version(pointer.name, pointer.version) : undefined;
  }

  #unregistered({ name, version, sha256 }: ModelVersion, active: Active): void {
    this.#deps.alerting.raise({
      name: 'ModelUnregistered',
      severity: 'warning',
      summary: `${name}@${version} is in force with another manifest (${active.digest.slice(0, 12)}) than was registered (${sha256.slice(0, 12)})`,
      hint: `compare its files: appliance models verify ${name}@${version}`,
    });
  }
}
