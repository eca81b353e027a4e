import { formatDuration } from '../../../lib/units.ts';
import type { Evidence } from '../evidence.ts';
import {
  bringBack,
  brokenConfiguration,
  databaseTrouble,
  diskFull,
  engineDown,
  environmentTrouble,
  nothingLive,
  restarting,
  signsOfKind,
  stackEvidence,
  stopped,
  unwell,
} from '../shared.ts';
import { advice, type Cause, fact, type Symptom, shown, when } from '../symptom.ts';

/** 502, 503 and 504: somebody is there, and whom it asks is not (S1-74). */
export const badGateway: Symptom = {
  name: '502',
  title: 'users get 502, 503 or 504, or no answer at all',
  words: ['503', '504', 'bad-gateway', 'gateway-timeout', 'down', 'unreachable', 'no-answer'],
  requirement: ['S1-74', 'S0-48'],
  looks: [...stackEvidence, 'routes', 'instances', 'requests', 'database', 'environment', 'disk', 'operations'],
  absent: nothingLive,
  judge: (evidence) => [
    ...engineDown(evidence),
    ...when(evidence, 'services', (services) => {
      const own = services.filter(({ role }) => ['app', 'core', 'edge'].includes(role));
      return [...stopped(own, evidence), ...unwell(own, evidence), ...restarting(own, evidence)].map(
        withAnswers(evidence),
      );
    }),
    ...trafficAstray(evidence),
    ...silentInstances(evidence),
    ...edgeAstray(evidence),
    ...databaseTrouble(evidence),
    ...environmentTrouble(evidence),
    ...diskFull(evidence),
    ...brokenConfiguration(evidence),
  ],
  // The order of the runbooks: look, read, restart, go back, tell (S0-48, S1-74).
  byHand: [
    advice('appliance ps', 'what runs'),
    advice('appliance logs backend --tail 100', 'the last 100 lines of a service'),
    advice('appliance restart backend', 'restarts a service, one container after the other'),
    advice('appliance config check', 'whether configuration and environment can be read'),
    advice('appliance check smoke', 'login, prediction and database as users reach them'),
    advice('appliance rollback', 'puts the release before back in front of users'),
    advice('appliance alerts raise CONDITION', 'tells everybody who is on call; config policies lists the conditions'),
  ],
};

/** What users see of it, beside what is wrong. */
function withAnswers(evidence: Evidence): (cause: Cause) => Cause {
  const [first, ...more] = failing(evidence);
  if (!first) return (cause) => cause;
  const others = more.length === 0 ? '' : ` and ${more.length} more`;
  const seen = fact('routes', `${first.path} (${first.service}): ${first.status ?? first.problem}${others}`);
  return (cause) => ({ ...cause, evidence: [...cause.evidence, seen, ...recent(evidence)] });
}

function failing(evidence: Evidence) {
  return (shown(evidence, 'routes') ?? []).filter(({ status }) => status === null || (status >= 502 && status <= 504));
}

function recent(evidence: Evidence) {
  const requests = shown(evidence, 'requests');
  if (!requests || requests.serverErrors === 0) return [];
  const { serverErrors, total, seconds } = requests;
  return [
    fact('requests', `${serverErrors} of ${total} requests got a 5xx in the last ${formatDuration(seconds * 1_000)}`),
  ];
}

/** All containers are well, and the traffic goes to the colour that is not live. */
function trafficAstray(evidence: Evidence): readonly Cause[] {
  const [live, edge, operations] = [shown(evidence, 'live'), shown(evidence, 'edge'), shown(evidence, 'operations')];
  if (!live || !edge?.weights || operations?.running || operations?.rollout || edge.weights[live.colour] === 100)
    return [];
  return [
    {
      id: 'traffic-astray',
      summary: `requests do not go to ${live.colour}, where ${live.tag} runs`,
      confidence: 'certain',
      evidence: [
        fact('edge', `blue ${edge.weights.blue} %, green ${edge.weights.green} %`),
        fact('live', `${live.tag} is live on ${live.colour}`),
      ],
      remedies: [bringBack],
    },
  ];
}

/** A container runs, its own check says nothing against it, and its port does not answer. */
function silentInstances(evidence: Evidence): readonly Cause[] {
  const services = shown(evidence, 'services') ?? [];
  // One that has just begun may take a moment; whether it comes up is told by its own check.
  const begins = new Set(services.filter(({ health }) => health === 'starting').map(({ service }) => service));
  const running = new Set(
    services.flatMap(({ service, state }) => (state === 'running' && !begins.has(service) ? [service] : [])),
  );
  return when(evidence, 'instances', (instances) => {
    const silent = instances.filter(
      ({ service, status }) => running.has(service) && (status === null || status >= 500),
    );
    return [...new Set(silent.map(({ service }) => service))].map((service) => {
      const mine = silent.filter((one) => one.service === service);
      const all = instances.filter((one) => one.service === service).length;
      return {
        id: `service-silent:${service}`,
        summary: `${service} runs and does not answer as it should`,
        confidence: mine.length === all ? 'likely' : 'possible',
        evidence: [
          ...mine
            .slice(0, 3)
            .map(({ address, status, problem }) => fact('instances', `${service} at ${address}: ${status ?? problem}`)),
          ...signsOfKind(evidence, 'error').slice(0, 1),
        ],
        remedies: [
          advice(`appliance logs ${service} --tail 100`, 'its last lines'),
          {
            command: `appliance restart ${service}`,
            about: 'restarts its containers one after the other',
            fix: { do: 'restart', service },
          },
          advice('appliance rollback', 'if it began with the last deploy'),
        ],
      } satisfies Cause;
    });
  });
}

/** Containers answer when they are asked straight, and the edge does not pass it on. */
function edgeAstray(evidence: Evidence): readonly Cause[] {
  const instances = shown(evidence, 'instances') ?? [];
  const well = new Set(instances.filter(({ status }) => status !== null && status < 500).map(({ service }) => service));
  const astray = failing(evidence).filter(({ service }) => well.has(service));
  const [first] = astray;
  if (!first || instances.some(({ service, status }) => service === first.service && status === null)) return [];
  return [
    {
      id: 'edge-astray',
      summary: 'the edge does not reach containers that answer when they are asked straight',
      confidence: 'likely',
      evidence: astray
        .slice(0, 3)
        .map(({ path, service, status, problem }) =>
          fact('routes', `${path}: ${status ?? problem}, while ${service} answers`),
        ),
      remedies: [bringBack, advice('appliance logs edge --tail 100', 'whom it asked in vain')],
    },
  ];
}
