import { diskFull } from '../shared.ts';
import { advice, type Cause, fact, type Symptom, when } from '../symptom.ts';

/** The application, or a gate, finds no `metrics.json` beside the model (S1-76, S1-62). */
export const metricsMissing: Symptom = {
  name: 'metrics-missing',
  title: 'metrics.json is missing beside the model',
  words: ['metrics.json', 'metrics.json-missing', 'metrics', 'no-metrics'],
  requirement: ['S1-76', 'S1-62'],
  looks: ['models', 'configuration', 'disk'],
  absent: (evidence) =>
    evidence.models.known && evidence.models.value === null ? 'appliance.yaml has no section models' : undefined,
  judge: (evidence) => [
    ...when(evidence, 'models', (models): readonly Cause[] => {
      if (models === null) return [];
      const { active, problem, files, missing, mayTrain } = models;
      if (active === null)
        return [
          {
            id: 'model-unusable',
            summary: 'no model is in force that can be used',
            confidence: 'certain',
            evidence: [fact('models', problem ?? `there is no manifest in ${models.directory}`)],
            remedies: [
              advice('appliance models list', 'the versions that are known'),
              advice('appliance models promote VERSION', 'puts one of them in force'),
            ],
          },
        ];
      const gone = missing.filter((name) => name !== 'metrics.json');
      const name = `${active.name}@${active.version}`;
      const lost: Cause[] =
        gone.length === 0
          ? []
          : [
              {
                id: 'model-files-missing',
                summary: `files of ${name} are missing`,
                confidence: 'certain',
                evidence: [fact('models', gone.join(', '))],
                remedies: [
                  advice(`appliance models verify ${name}`, 'compares every byte with the record'),
                  advice(
                    'appliance backup restore latest --component models --plan',
                    'what a restore would bring back',
                  ),
                ],
              },
            ];
      if (files.includes('metrics.json')) return lost;
      const listed = missing.includes('metrics.json');
      return [
        {
          id: 'metrics-missing',
          summary: listed
            ? `metrics.json of ${name} was removed after it was registered`
            : `${name} was made without metrics.json`,
          confidence: 'certain',
          evidence: [
            fact('models', `beside its manifest: ${files.join(', ')}`),
            fact('models', listed ? 'the manifest names metrics.json' : 'the manifest does not name metrics.json'),
          ],
          remedies: [
            ...(listed
              ? [advice('appliance backup restore latest --component models --plan', 'brings it back as it was')]
              : []),
            ...(mayTrain ? [advice('appliance models retrain', 'makes a new version with its metrics')] : []),
            advice('appliance models rollback', 'puts the version before in force, which has them'),
          ],
        },
        ...lost,
      ];
    }),
    ...diskFull(evidence),
  ],
  byHand: [
    advice('appliance models show VERSION', 'its files, metrics and where it came from'),
    advice('appliance models verify', 'reads every byte of the versions in use'),
    advice('appliance models retrain', 'makes a new version with its metrics'),
  ],
};
