import { count } from '../../lib/text.ts';
import { formatBytes } from '../../lib/units.ts';
import type { Evidence, EvidenceName, LogSignKind, ServiceSeen } from './evidence.ts';
import { advice, type Cause, type Fact, fact, type Remedy, shown, when } from './symptom.ts';

// Causes that are behind several symptoms. Each has the same id wherever it is named.

/** Shares of a file system below which things begin to fail, and below which they do. */
const scarce = { free: 0.1, inodes: 0.05 };
const exhausted = { free: 0.02, inodes: 0.01 };

export const bringBack: Remedy = {
  command: 'appliance up',
  about: 'makes the machine what the records say: core, live release, traffic',
  fix: { do: 'up' },
};

/** Nothing of the stack can be seen or changed without the engine. */
export function engineDown(evidence: Evidence): readonly Cause[] {
  return when(evidence, 'engine', ({ problem }) =>
    problem === null
      ? []
      : [
          {
            id: 'engine-down',
            summary: 'the Docker Engine does not answer',
            confidence: 'certain',
            evidence: [fact('engine', problem), ...edgeStillAnswers(evidence)],
            remedies: [
              advice(
                'systemctl start docker',
                'starts the engine; without systemd: /opt/appliance/bin/appliance-start',
              ),
              advice('journalctl -u docker -n 100', 'says why it ended'),
              advice('appliance up', 'afterwards, if something does not come back by itself'),
            ],
          },
        ],
  );
}

function edgeStillAnswers(evidence: Evidence): Fact[] {
  const edge = shown(evidence, 'edge');
  if (!edge) return [];
  return [
    fact('edge', edge.answers ? 'it still answers: containers outlive their engine' : 'it does not answer either'),
  ];
}

/** What appliance.yaml says is not used as it stands. */
export function brokenConfiguration(evidence: Evidence): readonly Cause[] {
  return when(evidence, 'configuration', ({ problem, hint }) =>
    problem === null
      ? []
      : [
          {
            id: 'configuration-broken',
            summary: 'appliance.yaml as it stands cannot be used',
            confidence: 'certain',
            evidence: [fact('configuration', problem)],
            remedies: [advice('appliance config check', hint ?? 'names every mistake with line and column')],
          },
        ],
  );
}

/** The file system of the state directory is full, or nearly. */
export function diskFull(evidence: Evidence): readonly Cause[] {
  return when(evidence, 'disk', ({ directory, total, free, inodesFree, takes }) => {
    const share = total === 0 ? 0 : free / total;
    const inodes = inodesFree ?? 1;
    if (share >= scarce.free && inodes >= scarce.inodes) return [];
    const over = share < exhausted.free || inodes < exhausted.inodes;
    const largest = takes.slice(0, 4).map(({ what, bytes }) => `${what}: ${formatBytes(bytes)}`);
    return [
      {
        id: 'disk-full',
        summary: over ? 'the disk is full' : 'the disk is nearly full',
        confidence: over ? 'certain' : 'likely',
        evidence: [
          fact('disk', `${formatBytes(free)} of ${formatBytes(total)} are free at ${directory}`),
          ...(inodesFree === null ? [] : [fact('disk', `${Math.round(inodesFree * 100)} % of the inodes are free`)]),
          ...(largest.length === 0 ? [] : [fact('disk', largest.join(', '))]),
        ],
        remedies: [
          {
            command: 'appliance releases prune',
            about: 'removes releases and images beyond retention; what is live, warm or pinned stays',
            fix: { do: 'prune' },
          },
          advice('appliance backup prune', 'forgets snapshots beyond retention; never the last that was proven'),
          advice('docker system df', 'shows what images, containers and volumes of others take'),
        ],
      },
    ];
  });
}

/** Why a container that should run does not. */
export function stopped(services: readonly ServiceSeen[], evidence: Evidence): Cause[] {
  return services
    .filter((one) => one.state !== 'running')
    .map((one) => {
      const killed = one.outOfMemory;
      const how =
        one.state === 'missing'
          ? 'it has no container'
          : `${one.state}${one.state === 'exited' ? ` with status ${one.exitCode}` : ''}${one.endedAt === null ? '' : ` since ${one.endedAt}`}`;
      return {
        id: `service-stopped:${one.name}`,
        summary: killed ? `${one.name} was killed: it used more memory than it may` : `${one.name} does not run`,
        confidence: 'certain',
        evidence: [
          fact('services', `${one.name}: ${how}${killed ? ', out of memory' : ''}`),
          ...restartFact(one),
          ...signFacts(evidence, one.name),
        ],
        remedies: [bringBack, advice(`appliance logs ${one.name} --tail 100`, 'its last lines')],
      };
    });
}

/** Containers that run and are not well. */
export function unwell(services: readonly ServiceSeen[], evidence: Evidence): Cause[] {
  return services
    .filter(({ state, health }) => state === 'running' && health === 'unhealthy')
    .map((one) => ({
      id: `service-unhealthy:${one.name}`,
      summary: `${one.name} runs and is unhealthy`,
      confidence: 'likely',
      evidence: [
        fact('services', `${one.name}: ${one.state}, ${one.health}`),
        ...restartFact(one),
        ...signFacts(evidence, one.name),
      ],
      remedies: [
        advice(`appliance logs ${one.name} --tail 100`, 'its last lines'),
        {
          command: `appliance restart ${one.service}`,
          about: 'restarts its containers one after the other',
          fix: { do: 'restart', service: one.service },
        },
      ],
    }));
}

/** Containers that go on ending and starting again. */
export function restarting(services: readonly ServiceSeen[], evidence: Evidence): Cause[] {
  return services
    .filter(({ state, restarts }) => state === 'restarting' || (state === 'running' && restarts >= 3))
    .map((one) => ({
      id: `service-restarting:${one.name}`,
      summary: `${one.name} ends again and again`,
      confidence: one.state === 'restarting' ? 'likely' : 'possible',
      evidence: [...restartFact(one), ...signFacts(evidence, one.name)],
      remedies: [
        advice(`appliance logs ${one.name} --tail 100`, 'what it says before it ends'),
        advice('appliance releases diff OLD NEW', 'what the live release changed'),
        advice('appliance rollback', 'goes back to the release before'),
      ],
    }));
}

function restartFact({ name, restarts }: ServiceSeen): Fact[] {
  return restarts === 0 ? [] : [fact('services', `${name} was restarted ${count(restarts, 'time')}`)];
}

/** What the log of a container speaks of. */
export function signFacts(evidence: Evidence, service: string, kinds?: readonly LogSignKind[]): Fact[] {
  const found = (shown(evidence, 'logs') ?? []).find((one) => one.service === service);
  return (found?.signs ?? [])
    .filter(({ kind }) => kinds === undefined || kinds.includes(kind))
    .slice(0, 2)
    .map((sign) => fact('logs', `${service} (${sign.count} of ${found?.lines} lines): ${sign.last}`));
}

/** Facts of one kind from the logs of all services. */
export function signsOfKind(evidence: Evidence, kind: LogSignKind): Fact[] {
  return (shown(evidence, 'logs') ?? []).flatMap(({ service, lines, signs }) =>
    signs
      .filter((sign) => sign.kind === kind)
      .map((sign) => fact('logs', `${service} (${sign.count} of ${lines} lines): ${sign.last}`)),
  );
}

/** The database does not answer, or has no connection left (S1-74, S1-41). */
export function databaseTrouble(evidence: Evidence): readonly Cause[] {
  return when(evidence, 'database', (database) => {
    if (database === null) return [];
    const { service, problem, used, limit } = database;
    const logged = signsOfKind(evidence, 'database');
    if (problem !== null)
      return [
        {
          id: 'database-down',
          summary: `the database ${service} does not answer`,
          confidence: logged.length > 0 ? 'certain' : 'likely',
          evidence: [fact('database', problem), ...logged.slice(0, 2)],
          remedies: [
            bringBack,
            advice(`appliance logs ${service} --tail 100`, 'what it says'),
            advice('appliance backup restore latest --plan', 'what a restore would bring, if its data are damaged'),
          ],
        },
      ];
    if (limit > 0 && used / limit >= 0.9)
      return [
        {
          id: 'database-connections',
          summary: `the database ${service} has hardly a connection left`,
          confidence: used >= limit ? 'certain' : 'likely',
          evidence: [fact('database', `${used} of ${limit} connections are in use`), ...logged.slice(0, 2)],
          remedies: [
            advice('appliance restart backend', 'gives back connections that the application leaks'),
            advice(
              'appliance exec postgres -- psql -c "SELECT state, count(*) FROM pg_stat_activity GROUP BY 1"',
              'who holds them',
            ),
          ],
        },
      ];
    return [];
  });
}

/** Keys of the environment file that are empty, or a file that cannot be read (S1-74). */
export function environmentTrouble(evidence: Evidence): readonly Cause[] {
  return when(evidence, 'environment', ({ file, problem, emptied }) => {
    if (problem === null && emptied.length === 0) return [];
    return [
      {
        id: 'environment-broken',
        summary:
          problem === null
            ? 'the environment file lost values that the live release has'
            : 'the environment file cannot be read',
        confidence: problem === null ? 'possible' : 'likely',
        evidence: [
          fact('environment', problem ?? `${file}: ${emptied.join(', ')}`),
          ...signsOfKind(evidence, 'environment').slice(0, 2),
        ],
        remedies: [
          advice('appliance config check', 'names the mistake'),
          advice('appliance check config', 'compares the file with what the policy asks for'),
        ],
      },
    ];
  });
}

/** Evidence that most symptoms of the stack rest on. */
export const stackEvidence = [
  'engine',
  'configuration',
  'live',
  'services',
  'edge',
  'logs',
] as const satisfies readonly EvidenceName[];

/** Nothing was deployed yet. */
export const nothingLive = (evidence: Evidence): string | undefined =>
  evidence.live.known && evidence.live.value === null && (shown(evidence, 'engine')?.problem ?? null) === null
    ? 'nothing is deployed yet'
    : undefined;
