import { timestamp } from '../../../lib/clock.ts';
import type { EvidenceTypes } from '../evidence.ts';
import { bringBack, engineDown, stopped } from '../shared.ts';
import { advice, type Cause, fact, type Symptom, when } from '../symptom.ts';

type One = EvidenceTypes['certificates'][number];

/** Days before its end at which a certificate that was not renewed is a matter for people. */
const soon = 7;
const day = 86_400_000;

/** @param now milliseconds since 1970 */
export function certificateSymptom(now: number): Symptom {
  return {
    name: 'certificate',
    title: 'browsers warn about the certificate, or it is not renewed',
    words: ['certificates', 'tls', 'https', 'ssl', 'expired', 'renewal', 'certificate_not_served'],
    requirement: ['S2-29', 'S1-50'],
    looks: ['certificates', 'edge', 'configuration'],
    aids: ['services', 'engine', 'logs'],
    judge: (evidence) => [
      ...when(evidence, 'certificates', (all) => all.flatMap((one) => causesOf(one, now))),
      ...when(evidence, 'services', (services) =>
        stopped(
          services.filter(({ role }) => role === 'edge'),
          evidence,
        ),
      ),
      ...when(evidence, 'certificates', (all) =>
        all.some(({ servedSerial }) => servedSerial === null) ? engineDown(evidence) : [],
      ),
    ],
    byHand: [
      advice('appliance certs status', 'what is in force, what is served, what was tried'),
      advice('appliance certs dry-run', 'tries everything that an issue takes, and keeps nothing'),
      advice('appliance certs import CHAIN KEY', 'puts one in force that somebody else has issued'),
    ],
  };
}

function causesOf(one: One, now: number): Cause[] {
  const { set, kind, notAfter, serial, servedSerial, due, lastError, nextAttempt, unresolved, domains } = one;
  const facts = [
    ...(notAfter === null ? [] : [fact('certificates', `${set} (${domains.join(', ')}) ends ${timestamp(notAfter)}`)]),
    ...(lastError === null ? [] : [fact('certificates', `the last attempt: ${lastError}`)]),
    ...(nextAttempt === null ? [] : [fact('certificates', `the next attempt: ${timestamp(nextAttempt)}`)]),
  ];
  const renew = {
    command: `appliance certs renew ${set}`,
    about: 'tries now; refuses by itself where a limit of the authority would be passed',
    fix: { do: 'renew', set },
  } as const;
  if (serial !== null && servedSerial !== null && serial !== servedSerial)
    return [
      {
        id: `certificate-not-served:${set}`,
        summary: `the edge serves another certificate for ${set} than the one in force`,
        confidence: 'certain',
        evidence: [fact('certificates', `in force ${serial}, served ${servedSerial}`), ...facts],
        remedies: [bringBack, advice('appliance logs edge --tail 100', 'why nginx did not take it')],
      },
    ];
  if (servedSerial === null)
    return [
      {
        id: `certificate-no-handshake:${set}`,
        summary: `nobody answers a TLS handshake for ${domains[0] ?? set}`,
        confidence: 'likely',
        evidence: [fact('certificates', 'no handshake'), ...facts],
        remedies: [bringBack, advice('appliance ps', 'whether the edge runs')],
      },
    ];
  const ended = notAfter !== null && notAfter <= now;
  const late = notAfter !== null && notAfter - now < soon * day && due !== null;
  if (ended || late || (lastError !== null && due !== null))
    return [
      {
        id: `certificate-not-renewed:${set}`,
        summary: ended ? `the certificate ${set} has ended` : `the certificate ${set} is due and was not renewed`,
        confidence: 'certain',
        evidence: [
          ...facts,
          ...(due === null ? [] : [fact('certificates', `due: ${due}`)]),
          ...(unresolved.length === 0 ? [] : [fact('certificates', `no address: ${unresolved.join(', ')}`)]),
        ],
        remedies: [
          ...(unresolved.length === 0
            ? []
            : [
                advice(
                  `getent hosts ${unresolved[0]}`,
                  'the authority must find this host by its name; its record is missing',
                ),
              ]),
          advice(`appliance certs dry-run ${set}`, 'says what fails, without using up an attempt'),
          ...(kind === 'imported'
            ? [advice(`appliance certs import CHAIN KEY --set ${set}`, 'nobody here renews an imported one')]
            : [renew]),
        ],
      },
    ];
  if (kind === 'self-signed' && due !== null)
    return [
      {
        id: `certificate-self-signed:${set}`,
        summary: `the certificate ${set} is signed by itself, which browsers refuse`,
        confidence: 'likely',
        evidence: [fact('certificates', `due: ${due}`), ...facts],
        remedies: [
          advice(`appliance certs dry-run ${set}`, 'whether one could be issued'),
          advice(`appliance certs issue ${set}`, 'issues it'),
        ],
      },
    ];
  return [];
}
