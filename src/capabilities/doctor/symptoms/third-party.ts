import type { Evidence } from '../evidence.ts';
import { nothingLive, signsOfKind } from '../shared.ts';
import { advice, type Cause, fact, type Symptom, shown } from '../symptom.ts';

/** Something that the application needs and that runs elsewhere is gone (S4-43: degrade). */
export const thirdParty: Symptom = {
  name: 'third-party',
  title: 'a service that runs elsewhere does not answer',
  words: ['external', 'upstream', 'ldap', 'dns', 'provider', 'dependency'],
  requirement: ['S4-43'],
  looks: ['logs', 'services', 'database', 'live'],
  absent: nothingLive,
  judge: (evidence) => elsewhere(evidence),
  byHand: [
    advice('appliance logs backend --grep "refused|timed out|resolve" --tail 200', 'whom it asks in vain'),
    advice('appliance exec backend -- getent hosts HOST', 'whether the name is known inside of the container'),
    advice(
      'appliance deploy TAG',
      'after the switch that turns the function off was set in the environment file: the application goes on without it (S4-43)',
    ),
  ],
};

/** All that runs here is well, and logs tell of connections that fail. */
function elsewhere(evidence: Evidence): readonly Cause[] {
  const [services, database] = [shown(evidence, 'services'), shown(evidence, 'database')];
  const here = (services ?? []).filter(({ state, health }) => state !== 'running' || health === 'unhealthy');
  const facts = [...signsOfKind(evidence, 'name'), ...signsOfKind(evidence, 'connection')];
  if (!services || here.length > 0 || database?.problem || facts.length === 0) return [];
  return [
    {
      id: 'elsewhere-down',
      summary: 'the application asks somebody elsewhere in vain, while all that runs here is well',
      confidence: signsOfKind(evidence, 'name').length > 0 ? 'likely' : 'possible',
      evidence: [...facts.slice(0, 4), fact('services', `${services.length} containers of this appliance run`)],
      remedies: [
        advice('appliance check preflight', 'name resolution and clock of this host'),
        advice('appliance restart backend', 'if it keeps an address that has changed'),
      ],
    },
  ];
}
