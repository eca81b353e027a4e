import { databaseTrouble, diskFull, engineDown, nothingLive, signsOfKind, stackEvidence, stopped } from '../shared.ts';
import { advice, type Cause, fact, type Symptom, when } from '../symptom.ts';

const again = advice('appliance models retrain', 'trains once more, and registers what comes out');

/** A training run failed, or none begins (S1-75). */
export const trainingFailed: Symptom = {
  name: 'training-failed',
  title: 'training fails, or does not begin',
  words: ['training', 'trainer', 'train', 'retrain', 'training_request.json'],
  requirement: ['S1-75', 'S1-40'],
  looks: [...stackEvidence, 'training', 'models', 'disk', 'database'],
  absent: (evidence) =>
    nothingLive(evidence) ??
    (evidence.training.known && evidence.training.value === null
      ? 'appliance.yaml has no trainer (models.trainer)'
      : undefined),
  judge: (evidence) => [
    ...engineDown(evidence),
    ...when(evidence, 'services', (services) =>
      stopped(
        services.filter(({ role }) => role === 'app'),
        evidence,
      ),
    ),
    ...when(evidence, 'training', (training): readonly Cause[] => {
      if (training === null) return [];
      const { state, detail, run, trial, writable, request, operation } = training;
      const causes: Cause[] = [];
      const last = state === 'failed' || state === 'interrupted';
      const facts = [
        ...(last
          ? [fact('training', `the run ${run ?? ''} is ${state}: ${detail ?? 'no detail'}`.replace('  ', ' '))]
          : []),
        ...(operation?.result === 'failed'
          ? [fact('training', `models retrain: ${operation.error ?? 'it failed'}`)]
          : []),
        ...(request === false && last ? [fact('training', 'training_request.json of the run is not there')] : []),
      ];
      if (writable === false)
        causes.push({
          id: 'training-permissions',
          summary: 'the trainer may not write where it must',
          confidence: 'certain',
          evidence: [
            fact('training', 'its directory cannot be written inside the container'),
            ...signsOfKind(evidence, 'permission').slice(0, 2),
          ],
          remedies: [
            advice(
              'appliance exec backend -- ls -ld /app/training /app/training/versions',
              'owner and mode; it must belong to the user of the container',
            ),
            again,
          ],
        });
      const said = `a run without consequences is answered with ${trial.status ?? trial.problem}${trial.said === '' ? '' : `: ${trial.said}`}`;
      if (trial.status === 409)
        causes.push({
          id: 'training-running',
          summary: 'another run has not ended yet',
          confidence: 'certain',
          evidence: [fact('training', said)],
          remedies: [advice('appliance logs backend --tail 100', 'how far it is')],
        });
      else if (trial.status === 422)
        causes.push({
          id: 'training-rows',
          summary: 'there are too few rows to train on',
          confidence: 'certain',
          evidence: [fact('training', said)],
          remedies: [advice('appliance check smoke', 'whether the database answers with data'), again],
        });
      else if (trial.status === 401 || trial.status === 403)
        causes.push({
          id: 'training-login',
          summary: 'the trainer refuses the user of the environment file',
          confidence: 'certain',
          evidence: [fact('training', said)],
          remedies: [
            advice('appliance config check', 'whether the file can be read'),
            advice('appliance doctor training-page', 'token, names and roles in detail'),
          ],
        });
      else if (trial.status !== 202)
        causes.push({
          id: 'training-refused',
          summary: 'no run could begin now',
          confidence: 'likely',
          evidence: [fact('training', said), ...facts, ...signsOfKind(evidence, 'disk').slice(0, 1)],
          remedies: [advice('appliance logs backend --tail 100', 'why'), again],
        });
      else if (facts.length > 0)
        causes.push({
          id: 'training-run-failed',
          summary: 'the last run failed, and another could begin now',
          confidence: 'likely',
          evidence: [...facts, fact('training', said), ...signsOfKind(evidence, 'error').slice(0, 1)],
          remedies: [again, advice('appliance logs backend --tail 100', 'what it said')],
        });
      return causes;
    }),
    ...diskFull(evidence),
    ...databaseTrouble(evidence),
  ],
  byHand: [
    advice('appliance logs backend --tail 100', 'the last lines of the service that trains'),
    advice('appliance exec backend -- cat /app/training/training_request.json', 'what was asked for'),
    advice('appliance doctor disk', 'whether there is room'),
    advice('appliance models retrain', 'trains once more, and registers what comes out'),
  ],
};
