import type { Evidence } from '../evidence.ts';
import { advice, type Cause, fact, type Symptom, shown, when } from '../symptom.ts';

const isolate = advice(
  'appliance down',
  'isolates the appliance: nothing of it is reachable any more, and no data are removed (S4-42)',
);

/** Somebody may be inside who should not be (S4-42: isolate). */
export const intrusion: Symptom = {
  name: 'intrusion',
  title: 'somebody may have got in, or a vulnerability is known',
  words: ['security', 'security-incident', 'breach', 'attack', 'vulnerability', 'hacked'],
  requirement: ['S4-42', 'S1-69', 'S4-15'],
  looks: ['security', 'alerting', 'requests'],
  judge: (evidence) => [...told(evidence), ...openDoors(evidence)],
  // The order of S4-42: isolate, keep the evidence, change what may be known, go on with what is sound.
  byHand: [
    isolate,
    advice('appliance support-bundle', 'keeps logs, audit and configuration as they are now, without secrets'),
    advice('appliance audit verify', 'whether the record of who did what is unchanged'),
    advice('appliance audit --since 7d', 'who did what, and from where'),
    advice('appliance check security', 'headers, TLS, open ports, rights of containers, vulnerabilities'),
    advice('appliance check config', 'which secrets are old or weak; change them all'),
    advice('appliance rollback', 'if the vulnerability came with the live release'),
  ],
};

function told(evidence: Evidence): readonly Cause[] {
  const firing = (shown(evidence, 'alerting')?.firing ?? []).filter(({ name, summary }) =>
    /security|intrusion|vulnerab|unauthori|authentication|refusal/i.test(`${name} ${summary}`),
  );
  return firing.map(({ name, summary }) => ({
    id: `security-alert:${name}`,
    summary: 'an alert tells of a security incident',
    confidence: 'likely',
    evidence: [fact('alerting', `${name}: ${summary}`)],
    remedies: [
      isolate,
      advice('appliance support-bundle', 'keeps what can be seen now'),
      advice('appliance audit verify', 'whether the record is unchanged'),
    ],
  }));
}

/** What the last security checks have found. */
function openDoors(evidence: Evidence): readonly Cause[] {
  return when(evidence, 'security', (failed) =>
    failed.length === 0
      ? []
      : [
          {
            id: 'security-checks',
            summary: 'the last security checks have failed',
            confidence: 'possible',
            evidence: failed
              .slice(0, 6)
              .map(({ id, observed, time }) => fact('security', `${id}: ${observed} (${time})`)),
            remedies: [advice('appliance check security', 'looks again, and says what to do about each')],
          },
        ],
  );
}
