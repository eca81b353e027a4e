import { brokenConfiguration, diskFull } from '../shared.ts';
import { advice, type Cause, fact, type Symptom, shown, when } from '../symptom.ts';

/** Nothing runs by the clock, and nobody notices anything. */
export const agentDown: Symptom = {
  name: 'agent-down',
  title: 'the agent does not run, or does not answer',
  words: ['agent', 'agent-unreachable', 'busy'],
  requirement: [],
  looks: ['agent', 'configuration', 'disk', 'operations'],
  judge: (evidence) => [
    ...when(evidence, 'agent', ({ running, problem }): readonly Cause[] => {
      if (running) return [];
      const open = shown(evidence, 'operations')?.running;
      return [
        {
          id: 'agent-down',
          summary: problem === null ? 'no agent runs' : 'an agent runs and does not answer',
          confidence: 'certain',
          evidence: [
            fact('agent', problem ?? 'nobody listens on its socket'),
            ...(open
              ? [
                  fact(
                    'operations',
                    `${open.kind} is open since ${open.startedAt}; the agent settles it when it starts`,
                  ),
                ]
              : []),
          ],
          remedies: [
            advice(
              problem === null ? 'systemctl start appliance' : 'systemctl restart appliance',
              'without systemd: /opt/appliance/bin/appliance-start; commands work without it meanwhile',
            ),
            advice('journalctl -u appliance -n 100', 'why it ended'),
          ],
        },
        ...brokenConfiguration(evidence),
        ...diskFull(evidence),
      ];
    }),
  ],
  byHand: [advice('appliance agent', 'whether it answers'), advice('appliance operations', 'what it was doing')],
};
