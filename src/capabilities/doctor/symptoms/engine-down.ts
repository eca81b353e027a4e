import { diskFull, engineDown } from '../shared.ts';
import { advice, type Symptom } from '../symptom.ts';

/** Commands end with `engine_unreachable`. */
export const engineDownSymptom: Symptom = {
  name: 'engine-down',
  title: 'the Docker Engine does not answer',
  words: ['engine', 'docker', 'docker-down', 'daemon'],
  requirement: [],
  looks: ['engine', 'disk', 'edge'],
  judge: (evidence) => {
    const down = engineDown(evidence);
    // A full disk is a common reason, and no symptom of an engine that answers.
    return down.length === 0 ? [] : [...down, ...diskFull(evidence)];
  },
  byHand: [
    advice('systemctl status docker', 'whether it runs, and its last words'),
    advice('docker info', 'whether it answers you'),
  ],
};
