import type { ModelVersion } from '../capabilities/models/registry.ts';
import type { Split } from '../capabilities/models/split.ts';
import { percentText } from '../capabilities/models/split-steps.ts';
import { ApplianceError } from '../lib/errors.ts';
import type { ModelShare } from '../recipes/models.ts';

/** The version that has a share of the requests; its record is null where the registry does not know it. */
export interface Compared {
  readonly split: Split;
  readonly version: ModelVersion | null;
}

/** A split that somebody wrote by hand may name a version that is not registered, which has no id. */
export function shareOf({ split, version }: Compared): ModelShare {
  const { name, version: label, sha256, weight } = split;
  return { candidate: version ?? { id: 0, name, version: label, sha256 }, weight };
}

export function otherSplit({ name, version, weight }: Split): ApplianceError {
  return new ApplianceError('usage', `${name}@${version} has ${percentText(weight)} of the requests`, {
    left: 'nothing was touched',
    hint: 'give it all of them: appliance models promote; or take them away: appliance models rollback',
  });
}

export function assertSplits(splits: boolean): void {
  if (splits) return;
  throw new ApplianceError('config_invalid', 'models.split is not set: the application knows no second version', {
    left: 'nothing was touched',
    hint: 'promote without --weight, or teach the application to read candidate.json (docs/guide/models.md)',
  });
}

export function nothingBeside(candidate: ModelVersion, baseline: ModelVersion | null): ApplianceError {
  const why = baseline
    ? `${candidate.name}@${candidate.version} is in force, it has all of the requests`
    : 'no registered version is in force that could have the rest of the requests';
  return new ApplianceError('usage', why, {
    left: 'nothing was touched',
    hint: baseline ? 'name another version' : 'appliance models import registers what serves',
  });
}

/** Metrics of which more is better, the most telling first. */
const telling = ['accuracy', 'roc_auc'] as const;

/** Whether a trained version is better than what serves: by the first metric in which both differ. */
export function isBetter(
  { metrics }: ModelVersion,
  baseline: ModelVersion | null,
  served: Readonly<Record<string, number>>,
): boolean {
  for (const name of telling) {
    const [now, before] = [metrics[name], served[name]];
    if (now !== undefined && before !== undefined && now !== before) return now > before;
  }
  return baseline === null && telling.every((name) => served[name] === undefined);
}
