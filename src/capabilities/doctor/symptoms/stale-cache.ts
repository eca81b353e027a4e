import { formatDuration } from '../../../lib/units.ts';
import { engineDown, nothingLive, stackEvidence, stopped } from '../shared.ts';
import { advice, type Cause, fact, type Symptom, when } from '../symptom.ts';

/** Seconds in which a process loads a changed manifest by itself (S1-77: "wait 2–3 s"). */
const settling = 3;

/** A new model is in force and users get answers of the old one (S1-77, S1-63). */
export const staleCache: Symptom = {
  name: 'stale-cache',
  title: 'a new model does not take effect',
  words: ['cache', 'stale', 'old-model', 'model-not-loaded', 'manifest'],
  requirement: ['S1-77', 'S1-63'],
  looks: [...stackEvidence, 'models'],
  absent: (evidence) =>
    nothingLive(evidence) ??
    (evidence.models.known && evidence.models.value === null ? 'appliance.yaml has no section models' : undefined),
  judge: (evidence) => [
    ...engineDown(evidence),
    ...when(evidence, 'models', (models): readonly Cause[] => {
      if (models === null) return [];
      const { active, problem, directory, age, loaded } = models;
      if (active === null)
        return [
          {
            id: 'model-unusable',
            summary: 'what lies in the models directory cannot be used, so processes keep what they have',
            confidence: 'certain',
            evidence: [fact('models', problem ?? `there is no manifest in ${directory}`)],
            remedies: [
              advice('appliance models list', 'the versions that are known'),
              advice('appliance models rollback', 'puts the version before in force'),
            ],
          },
        ];
      const name = `${active.name}@${active.version}`;
      const others = loaded.filter(({ sha256 }) => sha256 !== active.sha256);
      if (others.length === 0) return [];
      const facts = [
        fact(
          'models',
          `in force is ${name}, manifest ${active.sha256.slice(0, 12)}${age === null ? '' : `, written ${formatDuration(age * 1_000)} ago`}`,
        ),
        ...others.slice(0, 4).map((one) => fact('models', `${one.name}: ${one.said}`)),
      ];
      if (age !== null && age < settling)
        return [
          {
            id: 'model-settling',
            summary: 'the model changed a moment ago; processes load it within seconds',
            confidence: 'possible',
            evidence: facts,
            remedies: [advice('appliance doctor stale-cache', 'look again in three seconds')],
          },
        ];
      const silent = others.every(({ sha256 }) => sha256 === null);
      return [
        {
          id: 'model-not-loaded',
          summary: silent
            ? 'processes do not say which model they have'
            : `${others.length} of ${loaded.length} processes answer with another model than ${name}`,
          confidence: silent ? 'likely' : 'certain',
          evidence: facts,
          remedies: [
            {
              command: `appliance models promote ${name}`,
              about:
                'lets every process load what is in force: asks, touches the manifest, restarts one after the other; and proves it',
              fix: { do: 'load-model', version: name },
            },
            advice('appliance restart backend', 'by hand'),
          ],
        },
      ];
    }),
    ...when(evidence, 'services', (services) =>
      stopped(
        services.filter(({ service }) => service === 'redis'),
        evidence,
      ),
    ),
  ],
  byHand: [
    advice('appliance models list', 'which version is in force'),
    advice('appliance models verify', 'whether its files are whole'),
    advice('appliance restart backend', 'restarts the processes that load it'),
  ],
};
