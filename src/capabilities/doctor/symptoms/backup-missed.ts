import { timestamp } from '../../../lib/clock.ts';
import { formatDuration } from '../../../lib/units.ts';
import type { Evidence, EvidenceTypes } from '../evidence.ts';
import { diskFull, engineDown } from '../shared.ts';
import { advice, type Cause, fact, type Symptom, shown, when } from '../symptom.ts';

type Backups = EvidenceTypes['backups'];

const now = {
  command: 'appliance schedule run backup',
  about: 'makes the backup now that the clock should have made',
  fix: { do: 'run', job: 'backup' },
} as const;

/** The night went by without a backup (S1-46, S1-60). */
export const backupMissed: Symptom = {
  name: 'backup-missed',
  title: 'no backup was made, or it failed',
  words: ['backup', 'backups', 'no-backup', 'backup-failed', 'offsite', 'snapshot'],
  requirement: ['S1-46', 'S1-60', 'S4-53'],
  looks: ['backups', 'agent', 'engine', 'disk'],
  aids: ['edge'],
  absent: (evidence) =>
    evidence.backups.known && !evidence.backups.value.enabled
      ? 'appliance.yaml switches backups off (backups.enabled)'
      : undefined,
  judge: (evidence) => [
    ...when(evidence, 'backups', (backups) => [
      ...keyLost(backups),
      ...damaged(backups),
      ...late(backups, evidence),
      ...offsite(backups),
    ]),
  ],
  byHand: [
    advice('appliance backup list', 'snapshots, and when each was proven'),
    advice('appliance backup verify', 'reads the repository back'),
    advice('appliance schedule', 'when each job ran last and how that ended'),
  ],
};

function keyLost({ key, repository }: Backups): Cause[] {
  if (key || !repository) return [];
  return [
    {
      id: 'backup-key-lost',
      summary: 'the key of the repository of backups is gone: nothing can be stored or read',
      confidence: 'certain',
      evidence: [fact('backups', 'a repository lies there, and its key does not')],
      remedies: [
        advice('appliance backup key --prove', 'whether the key on the recovery sheet opens it; put it back then'),
      ],
    },
  ];
}

function damaged({ damaged: isDamaged }: Backups): Cause[] {
  if (!isDamaged) return [];
  return [
    {
      id: 'backup-damaged',
      summary: 'the repository of backups is damaged',
      confidence: 'certain',
      evidence: [fact('backups', 'a look at all of it has found broken packs')],
      remedies: [
        advice('appliance backup verify', 'names what is broken'),
        advice('appliance backup now', 'stores today anew beside it'),
      ],
    },
  ];
}

function late(backups: Backups, evidence: Evidence): Cause[] {
  const { overdueSeconds, newest, lastSuccess, error, waitsFor, nextRun } = backups;
  if (overdueSeconds === 0 && newest?.state !== 'failed') return [];
  const facts = [
    fact(
      'backups',
      lastSuccess === null ? 'none has ever come to its end' : `the last good one: ${timestamp(lastSuccess)}`,
    ),
    ...(overdueSeconds > 0 ? [fact('backups', `overdue by ${formatDuration(overdueSeconds * 1_000)}`)] : []),
    ...(error === null ? [] : [fact('backups', `the last run: ${error}`)]),
    ...(nextRun === null ? [] : [fact('backups', `the next run: ${nextRun}`)]),
  ];
  if (waitsFor !== null)
    return [
      {
        id: 'backup-waits',
        summary: 'the backup waits for another operation',
        confidence: 'certain',
        evidence: [fact('backups', waitsFor), ...facts],
        remedies: [
          advice('appliance follow', 'watches what it waits for'),
          advice('appliance abort', 'takes a rollout back'),
        ],
      },
    ];
  const roots = [
    ...engineDown(evidence),
    ...(shown(evidence, 'agent')?.running === false
      ? [
          {
            id: 'agent-down',
            summary: 'no agent runs, and only it makes backups by the clock',
            confidence: 'certain',
            evidence: [fact('agent', shown(evidence, 'agent')?.problem ?? 'nobody listens on its socket'), ...facts],
            remedies: [
              advice(
                'systemctl start appliance',
                'it makes up for what is due; without systemd: /opt/appliance/bin/appliance-start',
              ),
              now,
            ],
          } satisfies Cause,
        ]
      : []),
    ...diskFull(evidence),
  ];
  return [
    ...roots,
    {
      id: newest?.state === 'failed' ? 'backup-failed' : 'backup-overdue',
      summary: newest?.state === 'failed' ? `the backup ${newest.id} failed` : 'the backup of the night was not made',
      confidence: 'certain',
      evidence: facts,
      remedies: [now, advice('appliance operations', 'which step of it failed')],
    },
  ];
}

function offsite({ targets }: Backups): Cause[] {
  return targets
    .filter(({ failures }) => failures > 0)
    .map(({ name, failures, error }) => ({
      id: `offsite-failing:${name}`,
      summary: `copies to ${name} fail`,
      confidence: 'certain',
      evidence: [fact('backups', `${failures} times since the last success: ${error ?? 'no reason given'}`)],
      remedies: [advice('appliance config check', 'address and credentials of the target'), now],
    }));
}
