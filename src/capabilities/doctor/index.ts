import { ApplianceError } from '../../lib/errors.ts';
import { didYouMean } from '../../lib/near.ts';
import type { Symptom } from './symptom.ts';
import { agentDown } from './symptoms/agent-down.ts';
import { alertSilent } from './symptoms/alert-silent.ts';
import { backupMissed } from './symptoms/backup-missed.ts';
import { badGateway } from './symptoms/bad-gateway.ts';
import { certificateSymptom } from './symptoms/certificate.ts';
import { configuration } from './symptoms/configuration.ts';
import { dataInconsistent } from './symptoms/data-inconsistent.ts';
import { diskFilling } from './symptoms/disk-filling.ts';
import { engineDownSymptom } from './symptoms/engine-down.ts';
import { intrusion } from './symptoms/intrusion.ts';
import { metricsMissing } from './symptoms/metrics-missing.ts';
import { slow } from './symptoms/slow.ts';
import { staleCache } from './symptoms/stale-cache.ts';
import { thirdParty } from './symptoms/third-party.ts';
import { trainingFailed } from './symptoms/training-failed.ts';
import { trainingPage } from './symptoms/training-page.ts';

/** Every symptom, those that take the most along first. @param now milliseconds since 1970 */
export function symptoms(now: number): readonly Symptom[] {
  return [
    engineDownSymptom,
    configuration,
    badGateway,
    agentDown,
    diskFilling,
    certificateSymptom(now),
    dataInconsistent,
    intrusion,
    backupMissed,
    alertSilent,
    staleCache,
    metricsMissing,
    trainingFailed,
    trainingPage,
    slow,
    thirdParty,
  ];
}

/**
 * The symptom that somebody means: by its name, another word for it, or the words of its title.
 * @throws ApplianceError `usage` with near matches
 */
export function findSymptom(wanted: string, all: readonly Symptom[]): Symptom {
  const word = wanted
    .trim()
    .toLowerCase()
    .replace(/[\s_]+/g, '-');
  const found =
    all.find(({ name }) => name === word) ??
    all.find(({ words }) => words.some((other) => other.replaceAll('_', '-') === word));
  if (found) return found;
  const names = all.map(({ name }) => name);
  throw new ApplianceError('usage', `there is no symptom "${wanted}"`, {
    left: 'nothing was looked at',
    hint: didYouMean(word, [...names, ...all.flatMap(({ words }) => words)]) ?? `there are ${names.join(', ')}`,
  });
}
