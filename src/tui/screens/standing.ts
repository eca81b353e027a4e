import { age, wayBack } from '../../api/describe.ts';
import type { Status } from '../../api/schema.ts';
import { formatDuration } from '../../lib/units.ts';
import { bold, clip, dim, type Glyphs, type Line, named, nameWidth, type Segment, widthOf } from '../line.ts';
import type { State } from '../state.ts';
import { requestSegments } from './requests.ts';
import { colourOf } from './signs.ts';
import { trafficBar } from './traffic.ts';

/** From this width on, two facts stand beside each other. */
const twoColumns = 140;
/** From this width on, there is room to say what was proven. */
const widthForProof = 88;
/** Days before the end of a certificate at which its colour changes: it should have been renewed. */
const lateDays = 14;
/** Milliseconds after which a backup, or the proof that one can be restored, is old: a night was missed, or two months. */
const oldBackup = 36 * 3_600_000;
const oldProof = 62 * 24 * 3_600_000;

/** How things stand, the most important first. */
export function standingLines(
  status: Status,
  { now, requests }: Pick<State, 'now' | 'requests'>,
  width: number,
  glyphs: Glyphs,
): readonly Line[] {
  const known = { now, requests };
  if (width < twoColumns) return factsOf(status, known, width, glyphs);
  const half = Math.floor(width / 2) - 1;
  const facts = factsOf(status, known, half, glyphs);
  const rows = Math.ceil(facts.length / 2);
  return Array.from({ length: rows }, (_, index) => {
    const left = facts[index] ?? [];
    const right = facts[index + rows] ?? [];
    return clip([...left, { text: ' '.repeat(Math.max(1, half - widthOf(left))) }, ...right], width, glyphs.cut);
  });
}

function factsOf(
  status: Status,
  { now, requests }: Pick<State, 'now' | 'requests'>,
  width: number,
  glyphs: Glyphs,
): Line[] {
  const { release, warm, edge, agent, models } = status;
  const active = models.active;
  return [
    named(
      'Release',
      release
        ? [
            bold(release.tag),
            { text: ' on ' },
            { text: release.colour, color: colourOf(release.colour) },
            dim(`, live for ${age(release.since, now)}`),
          ]
        : [{ text: 'nothing is deployed yet; on Releases d deploys a tag' }],
      width,
      glyphs,
    ),
    named('Traffic', trafficBar(status.traffic, width - nameWidth - 3, glyphs), width, glyphs),
    named('Requests', requestSegments(status.requests, requests, width, glyphs), width, glyphs),
    ...(warm
      ? [
          named(
            'Warm',
            [{ text: `${warm.tag} on ` }, { text: warm.colour, color: colourOf(warm.colour) }, dim(`, ${wayBack}`)],
            width,
            glyphs,
          ),
        ]
      : []),
    named(
      'Model',
      active
        ? [{ text: `${active.name} ` }, bold(active.version), dim(`  ${active.sha256.slice(0, 12)}`)]
        : [dim('none in force')],
      width,
      glyphs,
    ),
    named('Backup', backupSegments(status.backup, now, width, glyphs), width, glyphs),
    named('Certs', certificateSegments(status.certificates, glyphs), width, glyphs),
    named(
      'Edge',
      edge.reachable
        ? [{ text: `${edge.http} ${glyphs.dot} ${edge.https}` }]
        : [{ text: `${glyphs.fail} ${edge.http} does not answer`, color: 'red' }],
      width,
      glyphs,
    ),
    named(
      'Agent',
      [{ text: `pid ${agent.pid ?? glyphs.none}` }, dim(`, up for ${age(agent.since, now)}`)],
      width,
      glyphs,
    ),
  ];
}

/** The last backup, the last restore that was proven, and when the next one is due. */
function backupSegments(
  { lastSuccess, lastProvenRestore, nextRun }: Status['backup'],
  now: number,
  width: number,
  glyphs: Glyphs,
): Segment[] {
  if (lastSuccess === null && lastProvenRestore === null && nextRun === null) return [dim('none was made yet')];
  const stamp = (label: string, time: string | null, old: number): Segment[] => {
    const late = time === null || now - Date.parse(time) > old;
    const sign = late ? glyphs.inconclusive : glyphs.pass;
    return [
      { text: `${sign} `, color: late ? 'yellow' : 'green' },
      { text: `${label} ${time === null ? 'never' : `${age(time, now)} ago`}` },
    ];
  };
  const next = nextRun === null ? undefined : Date.parse(nextRun) - now;
  return [
    ...stamp('made', lastSuccess, oldBackup),
    { text: '  ' },
    ...stamp(width < widthForProof ? 'proven' : 'restore proven', lastProvenRestore, oldProof),
    dim(next === undefined ? '' : next <= 0 ? '  next is due' : `  next in ${formatDuration(next)}`),
  ];
}

/** The certificate that ends first. */
function certificateSegments(certificates: Status['certificates'], glyphs: Glyphs): Segment[] {
  const [first] = [...certificates].sort((a, b) => a.daysLeft - b.daysLeft);
  if (!first) return [dim('none is managed')];
  const condition = first.daysLeft <= 0 ? 'fail' : first.daysLeft < lateDays ? 'inconclusive' : 'pass';
  const color = { fail: 'red', inconclusive: 'yellow', pass: 'green' }[condition];
  const days = Math.floor(first.daysLeft);
  return [
    { text: `${glyphs[condition]} `, color },
    { text: days <= 0 ? 'has ended' : days === 1 ? '1 day left' : `${days} days left` },
    dim(`  ${first.domains.join(' ')}, ${first.issuer}`),
    dim(certificates.length > 1 ? `, and ${certificates.length - 1} more` : ''),
  ];
}
