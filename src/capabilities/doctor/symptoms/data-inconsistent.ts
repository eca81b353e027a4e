import type { Evidence } from '../evidence.ts';
import { databaseTrouble, engineDown } from '../shared.ts';
import { advice, type Cause, fact, type Symptom, shown, when } from '../symptom.ts';

/** Data are wrong, gone or of two minds (S4-41: pause and resync). */
export const dataInconsistent: Symptom = {
  name: 'data-inconsistent',
  title: 'data are gone, wrong or contradict each other',
  words: ['data', 'inconsistent', 'inconsistency', 'corruption', 'data-lost', 'schema', 'schema_gate'],
  requirement: ['S4-41', 'S1-68'],
  looks: ['schema', 'database', 'operations', 'logs', 'alerting', 'backups', 'engine'],
  aids: ['edge'],
  judge: (evidence) => [
    ...engineDown(evidence),
    ...schemaAhead(evidence),
    ...told(evidence),
    ...databaseTrouble(evidence),
    ...openRestore(evidence),
  ],
  // The order of S4-41: stop what changes data, see, bring back, compare.
  byHand: [
    advice('appliance pause', 'holds a running rollout where it is (S4-41)'),
    advice('appliance backup list', 'which snapshot is from before'),
    advice('appliance backup restore latest --plan', 'rows now and in the snapshot, and the downtime'),
    advice(
      'appliance backup restore latest --component database',
      'resyncs the database from the snapshot, after a safety snapshot (S4-41)',
    ),
    advice('appliance check smoke', 'whether the application is content with its data'),
  ],
};

function schemaAhead(evidence: Evidence): readonly Cause[] {
  return when(evidence, 'schema', ({ today, wanted }) => {
    if (today === null || wanted === null || today === wanted) return [];
    const newer = today > wanted;
    return [
      {
        id: 'schema-differs',
        summary: newer
          ? 'the database has a newer schema than the live release was built for'
          : 'the database lacks a migration of the live release',
        confidence: newer ? 'possible' : 'certain',
        evidence: [fact('schema', `the database is at ${today}, the live release at ${wanted}`)],
        remedies: newer
          ? [advice('appliance rollback --plan', 'whether a release fits, and which snapshot would')]
          : [advice('appliance deploy TAG', 'runs the migrations of the release again; each is skipped that is done')],
      },
    ];
  });
}

/** A rule or a person says that data are damaged. */
function told(evidence: Evidence): readonly Cause[] {
  const firing = (shown(evidence, 'alerting')?.firing ?? []).filter(({ name, summary }) =>
    /corrupt|data|damage/i.test(`${name} ${summary}`),
  );
  return firing.map(({ name, summary }) => ({
    id: `data-alert:${name}`,
    summary: 'an alert tells of damaged data',
    confidence: 'likely',
    evidence: [fact('alerting', `${name}: ${summary}`)],
    remedies: [
      advice('appliance pause', 'holds a running rollout where it is'),
      advice('appliance backup restore latest --plan', 'rows now and in the newest snapshot'),
    ],
  }));
}

function openRestore(evidence: Evidence): readonly Cause[] {
  return when(evidence, 'operations', ({ lastFailed }) => {
    if (!lastFailed || !['restore', 'rollback', 'recover'].includes(lastFailed.kind) || lastFailed.result !== 'manual')
      return [];
    return [
      {
        id: 'restore-open',
        summary: `the ${lastFailed.kind} ${lastFailed.id} ended half way`,
        confidence: 'certain',
        evidence: [fact('operations', lastFailed.error ?? 'it needs a person')],
        remedies: [advice('appliance operations', 'what it left, and what it says to type')],
      },
    ];
  });
}
