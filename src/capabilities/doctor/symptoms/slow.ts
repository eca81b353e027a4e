import { formatBytes, formatDuration } from '../../../lib/units.ts';
import type { Evidence } from '../evidence.ts';
import {
  databaseTrouble,
  diskFull,
  engineDown,
  nothingLive,
  signFacts,
  stackEvidence,
  stopped,
  unwell,
} from '../shared.ts';
import { advice, type Cause, fact, type Symptom, shown, when } from '../symptom.ts';

/** Seconds beyond which an answer is slow (S2-27). */
const slowLimit = 0.5;
/** Share of slow answers, and of memory in use, from which on something is wrong; the share of cache hits below which (S2-27, S4-34). */
const limits = { slow: 0.05, memory: 0.9, hits: 0.7, load: 1.5, drift: 0.2 };
/** Seconds after a deploy in which it is the first to be suspected. */
const fresh = 6 * 3_600;

/** Answers come late (S2-27, S4-40, S1-71). */
export const slow: Symptom = {
  name: 'slow',
  title: 'answers come late',
  words: ['latency', 'slow-answers', 'timeouts', 'performance'],
  requirement: ['S2-27', 'S4-40', 'S1-71'],
  looks: [...stackEvidence, 'requests', 'machine', 'cache', 'predictions', 'database', 'disk'],
  absent: nothingLive,
  judge: (evidence) => [
    ...engineDown(evidence),
    ...when(evidence, 'services', (services) => {
      const own = services.filter(({ role }) => role === 'app' || role === 'core');
      return [...stopped(own, evidence), ...unwell(own, evidence), ...nearLimit(evidence)];
    }),
    ...freshRelease(evidence),
    ...busyMachine(evidence),
    ...coldCache(evidence),
    ...databaseTrouble(evidence),
    ...modelDrift(evidence),
    ...diskFull(evidence),
    ...unexplained(evidence),
  ],
  byHand: [
    advice('appliance stats', 'processor and memory of each container'),
    advice('appliance check post-deploy', 'what grew since the deploy, against the gates of the policy'),
    advice('appliance check load', 'how fast it is under the load that the policy asks for'),
    advice('appliance rollback', 'routes users back to the release before (S4-40)'),
  ],
};

const isSlow = (evidence: Evidence): boolean => (shown(evidence, 'requests')?.slow ?? 0) >= limits.slow;

function timing(evidence: Evidence) {
  const requests = shown(evidence, 'requests');
  if (!requests || requests.slow === null) return [];
  const p95 = requests.p95 === null ? '' : `, 95 % within ${formatDuration(requests.p95 * 1_000)}`;
  return [
    fact(
      'requests',
      `${Math.round(requests.slow * 100)} % of ${requests.total} requests took longer than ${slowLimit} s in the last ${formatDuration(requests.seconds * 1_000)}${p95}`,
    ),
  ];
}

/** It began with the release that is live. */
function freshRelease(evidence: Evidence): readonly Cause[] {
  const live = shown(evidence, 'live');
  if (!live?.previous || live.age > fresh || !isSlow(evidence)) return [];
  const { tag, age, previous } = live;
  return [
    {
      id: 'release-slow',
      summary: `${tag} is new and may be slower than ${previous.tag}`,
      confidence: 'possible',
      evidence: [
        fact('live', `${tag} is live for ${formatDuration(age * 1_000)}; ${previous.tag} is ${previous.state}`),
        ...timing(evidence),
      ],
      remedies: [
        advice(`appliance rollback ${previous.tag} --plan`, 'what going back would take'),
        advice(`appliance rollback ${previous.tag}`, 'routes users back (S4-40)'),
        advice(`appliance releases diff ${previous.tag} ${tag}`, 'what changed'),
      ],
    },
  ];
}

/** Containers at the limit of their memory (S2-27). */
function nearLimit(evidence: Evidence): Cause[] {
  return (shown(evidence, 'services') ?? [])
    .filter(({ memoryShare }) => (memoryShare ?? 0) >= limits.memory)
    .map(({ name, memoryShare }) => ({
      id: `memory-limit:${name}`,
      summary: `${name} uses nearly all the memory that it may`,
      confidence: 'likely',
      evidence: [
        fact('services', `${name}: ${Math.round((memoryShare ?? 0) * 100)} % of its limit`),
        ...signFacts(evidence, name, ['memory']),
      ],
      remedies: [
        advice('appliance check post-deploy', 'whether it grew since the deploy'),
        advice(`appliance restart ${name.replace(/-\d+$/, '')}`, 'gives the memory back for a while'),
      ],
    }));
}

/** More work than the host has processors or memory for. */
function busyMachine(evidence: Evidence): readonly Cause[] {
  return when(evidence, 'machine', ({ processors, load, memory, memoryFree }) => {
    const causes: Cause[] = [];
    if (load / processors >= limits.load)
      causes.push({
        id: 'machine-busy',
        summary: 'the host has more work than processors',
        confidence: isSlow(evidence) ? 'likely' : 'possible',
        evidence: [
          fact('machine', `${load.toFixed(1)} processes want one of ${processors} processors`),
          ...timing(evidence),
        ],
        remedies: [
          advice('appliance stats', 'which container uses them'),
          advice('appliance operations', 'whether a backup or a drill runs just now'),
        ],
      });
    if (memoryFree !== null && memoryFree / memory < 1 - 0.95)
      causes.push({
        id: 'machine-memory',
        summary: 'the host has hardly any memory left',
        confidence: 'likely',
        evidence: [
          fact('machine', `${formatBytes(memoryFree)} of ${formatBytes(memory)} are free`),
          ...timing(evidence),
        ],
        remedies: [
          advice('appliance stats', 'which container uses it'),
          advice('appliance models show', 'how large the models are'),
        ],
      });
    return causes;
  });
}

/** Answers are computed anew instead of being remembered (S2-27, S2-38, S0-51). */
function coldCache(evidence: Evidence): readonly Cause[] {
  return when(evidence, 'cache', (cache) => {
    if (cache === null || cache.hits === null || cache.hits >= limits.hits) return [];
    return [
      {
        id: 'cache-cold',
        summary: 'the cache answers few requests',
        confidence: isSlow(evidence) ? 'likely' : 'possible',
        evidence: [
          fact('cache', `${Math.round(cache.hits * 100)} % of the questions are answered from it`),
          ...timing(evidence),
        ],
        remedies: [
          advice('appliance logs redis --tail 100', 'whether it drops keys or was restarted'),
          advice('appliance models history', 'a new model begins with an empty cache'),
        ],
      },
    ];
  });
}

/** The model is asked what it was not made for (S2-27 "calibration"). */
function modelDrift(evidence: Evidence): readonly Cause[] {
  return when(evidence, 'predictions', ({ drift, spread }) => {
    const odd = [
      ...(drift !== null && drift > limits.drift ? [`features drifted by ${drift.toFixed(2)}`] : []),
      // S2-23.
      ...(spread !== null && spread < 0.05 ? [`predictions differ by ${spread.toFixed(3)} only`] : []),
    ];
    if (odd.length === 0) return [];
    return [
      {
        id: 'model-calibration',
        summary: 'the model no longer fits what it is asked',
        confidence: 'possible',
        evidence: [fact('predictions', odd.join(', '))],
        remedies: [
          advice('appliance models diff OLD NEW', 'what the version in force changed'),
          advice('appliance models rollback', 'puts the version before in force'),
          advice('appliance models retrain', 'trains on the data of today'),
        ],
      },
    ];
  });
}

/** It is slow, and nothing that was looked at says why. */
function unexplained(evidence: Evidence): readonly Cause[] {
  if (!isSlow(evidence)) return [];
  return [
    {
      id: 'answers-slow',
      summary: 'answers are slow',
      confidence: 'likely',
      evidence: timing(evidence),
      remedies: [
        advice('appliance check post-deploy', 'what grew since the deploy'),
        advice('appliance stats', 'processor and memory of each container'),
      ],
    },
  ];
}
