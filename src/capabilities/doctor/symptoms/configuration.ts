import { brokenConfiguration, environmentTrouble } from '../shared.ts';
import { advice, type Symptom } from '../symptom.ts';

/** A change to appliance.yaml or the environment has no effect, or is refused. */
export const configuration: Symptom = {
  name: 'configuration',
  title: 'appliance.yaml or the environment is not used as it stands',
  words: ['config', 'appliance.yaml', 'environment', 'env'],
  requirement: [],
  looks: ['configuration', 'environment'],
  aids: ['logs'],
  judge: (evidence) => [...brokenConfiguration(evidence), ...environmentTrouble(evidence)],
  byHand: [
    advice('appliance config show', 'what is in force, every default filled in'),
    advice('appliance deploy TAG', 'a changed environment comes with the next deploy'),
  ],
};
