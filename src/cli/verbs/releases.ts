import { age } from '../../api/describe.ts';
import type { ReleaseDetail, ReleaseSummary } from '../../api/schema.ts';
import { exitCodes } from '../../lib/errors.ts';
import { describeShadow } from '../../lib/shadow.ts';
import { formatBytes } from '../../lib/units.ts';
import type { Call } from '../catalog.ts';
import { type Look, mark, paint, type Style, speak } from '../output/look.ts';
import { table } from '../output/table.ts';
import type { Session } from '../session.ts';
import { approvalTable } from './approve.ts';
import { findingLines } from './finding-text.ts';
import { changeLines } from './plan-text.ts';

const stateStyles: Readonly<Record<ReleaseSummary['state'], Style | undefined>> = {
  live: 'green',
  warm: 'yellow',
  kept: undefined,
  gone: 'dim',
};

export async function list(_: Call<'releases'>, session: Session): Promise<number> {
  const releases = await (await session.client()).ask('releases', {}, session.signal);
  session.answer(releases, () =>
    releases.length === 0
      ? ['no release yet; appliance deploy <tag> makes the first']
      : releaseTable(releases, session.out),
  );
  return exitCodes.done;
}

function releaseTable(releases: readonly ReleaseSummary[], look: Look): string[] {
  const twice = releases.filter(({ tag }, index) => releases.findIndex((other) => other.tag === tag) !== index);
  const again = new Set(twice.map(({ tag }) => tag));
  return [
    ...table(
      [
        { title: 'TAG', value: (row) => (again.has(row.tag) ? row.id : row.tag), least: 12 },
        { title: 'STATE', value: (row) => row.state, style: (row) => stateStyles[row.state] },
        { title: 'COLOUR', value: (row) => row.colour ?? '–', style: (row) => row.colour ?? 'dim' },
        {
          title: 'DEPLOYED',
          value: (row) => (row.deployedAt ? `${age(row.deployedAt, Date.now())} ago` : 'never'),
        },
        { title: 'BY', value: (row) => row.actor ?? '–', dropAt: 1, least: 6 },
        { title: 'COMMIT', value: (row) => row.commit.slice(0, 10), dropAt: 3 },
        { title: 'SCHEMA', value: (row) => String(row.schema ?? '–'), align: 'right', dropAt: 2 },
        { title: 'VERDICT', value: (row) => row.verdict ?? '–', dropAt: 4 },
        { title: 'PINNED', value: (row) => (row.pinned ? 'yes' : ''), dropAt: 5 },
      ],
      releases,
      look,
    ),
    ...twice
      .slice(0, 1)
      .map(({ tag, id }) =>
        speak(
          look,
          `${tag} means the release of that tag that was deployed last; another one is named by its id: appliance rollback ${id}`,
        ),
      ),
  ];
}

export async function show(call: Call<'releases show'>, session: Session): Promise<number> {
  const release = await (await session.client()).ask('release', { tag: call.args.tag }, session.signal);
  session.answer(release, () => releaseLines(release, session.out));
  return exitCodes.done;
}

export async function diff(call: Call<'releases diff'>, session: Session): Promise<number> {
  const { from, to } = call.args;
  const difference = await (await session.client()).ask('diff', { from, to }, session.signal);
  session.answer(difference, () => [
    speak(session.out, `${from} → ${to}`),
    ...(difference.changes.length === 0 ? ['  no difference'] : changeLines(difference.changes, session.out)),
  ]);
  return exitCodes.done;
}

export async function pin(call: Call<'releases pin'>, session: Session): Promise<number> {
  return setPinned(call.args.tag, true, session);
}

export async function unpin(call: Call<'releases unpin'>, session: Session): Promise<number> {
  return setPinned(call.args.tag, false, session);
}

async function setPinned(tag: string, pinned: boolean, session: Session): Promise<number> {
  const release = await (await session.client()).ask('pin', { tag, pinned }, session.signal);
  session.answer(release, () => [
    `${mark(session.out, 'pass')} ${tag} ${pinned ? 'is pinned: its images are kept' : 'is no longer pinned: retention decides'}`,
  ]);
  return exitCodes.done;
}

function releaseLines(release: ReleaseDetail, look: Look): string[] {
  const line = (name: string, text: string) => `  ${paint(look, 'dim', name.padEnd(12))} ${speak(look, text)}`;
  const heading = (text: string) => ['', paint(look, 'bold', text)];
  const readable = release.schemaReadableFrom === null ? '' : `, readable from ${release.schemaReadableFrom}`;
  return [
    `${paint(look, 'bold', release.tag)}  ${paint(look, stateStyles[release.state], release.state)}${release.pinned ? ', pinned' : ''}`,
    line('commit', release.commit),
    line('made', release.createdAt),
    line('deployed', release.deployedAt === null ? 'never' : `${release.deployedAt} by ${release.actor ?? 'unknown'}`),
    line('colour', release.colour ?? '–'),
    line('schema', `${release.schema ?? 'none'}${readable}`),
    line('environment', `${release.environmentSha256.slice(0, 16)} (${release.environmentKeys.join(', ') || 'empty'})`),
    ...heading(`Images (${formatBytes(release.imageBytes)})`),
    ...table(
      [
        { title: 'SERVICE', value: (row) => row.service },
        { title: 'IMAGE', value: (row) => row.ref, least: 16 },
        { title: 'DIGEST', value: (row) => row.digest, least: 20 },
      ],
      release.images,
      look,
      2,
    ),
    ...heading('Services'),
    ...table(
      [
        { title: 'SERVICE', value: (row) => row.name },
        { title: 'ROLE', value: (row) => row.role },
        { title: 'REPLICAS', value: (row) => String(row.replicas), align: 'right' },
      ],
      release.services,
      look,
      2,
    ),
    ...(release.approvals
      ? [...heading(`Approvals of ${release.approvals.digest}`), ...approvalTable(release.approvals.approvals, look)]
      : []),
    ...heading('History'),
    ...(release.history.length === 0
      ? ['  never deployed']
      : table(
          [
            { title: 'TIME', value: (row) => row.at },
            { title: 'WHAT', value: (row) => row.kind },
            { title: 'RESULT', value: (row) => row.result.replace('_', ' ') },
            { title: 'BY', value: (row) => row.actor, least: 6 },
            { title: 'OPERATION', value: (row) => row.operation, dropAt: 1 },
          ],
          release.history,
          look,
          2,
        )),
    ...(release.checks && release.checks.length > 0
      ? [...heading('Checks of its last deploy'), ...findingLines(release.checks, look)]
      : []),
    ...followUpLines(release, look),
    ...shadowLines(release, look),
  ];
}

/** Looks at it some time after it went live: what they have shown, or when they are due. */
function followUpLines({ followUps = [] }: ReleaseDetail, look: Look): string[] {
  if (followUps.length === 0) return [];
  return [
    '',
    paint(look, 'bold', 'Looks after it went live'),
    ...followUps.flatMap(({ look: name, due, at, verdict, checks }) =>
      at === null || verdict === null
        ? [`  ${speak(look, `${name}: due ${due}`)}`]
        : [
            `  ${mark(look, verdict)} ${speak(look, `${name}: ${at}`)}`,
            ...findingLines(checks, look).map((line) => `  ${line}`),
          ],
    ),
  ];
}

/** What the last rollout with copies of requests has shown. */
function shadowLines({ history }: ReleaseDetail, look: Look): string[] {
  const shadow = history.find((entry) => entry.shadow)?.shadow;
  if (!shadow) return [];
  return [
    '',
    paint(look, 'bold', `Shadow traffic, beside ${shadow.from}`),
    speak(look, `  ${describeShadow(shadow)}`),
    ...(shadow.examples.length === 0
      ? []
      : table(
          [
            { title: 'REQUEST', value: ({ method, path }) => `${method} ${path}`, least: 16 },
            { title: 'DIFFERENCE', value: ({ difference }) => difference, least: 10 },
            { title: 'TIMES', value: ({ count }) => String(count), align: 'right' },
          ],
          shadow.examples,
          look,
          2,
        )),
  ];
}
