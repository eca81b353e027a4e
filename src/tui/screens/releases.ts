import { age, changeLine } from '../../api/describe.ts';
import type { ReleaseDetail, ReleaseSummary } from '../../api/schema.ts';
import { oneLine } from '../../lib/text.ts';
import { formatBytes } from '../../lib/units.ts';
import { bold, dim, type Glyphs, type Line, named, plain } from '../line.ts';
import type { Intent } from '../order.ts';
import { deployWish, releaseOrders } from '../orders/releases.ts';
import { word } from '../orders/word.ts';
import type { State } from '../state.ts';
import { type Column, fitting, type Room } from './columns.ts';
import { listScreen } from './list.ts';
import { colourOf, conditionColors, utcOf } from './signs.ts';

const conditions = { live: 'pass', warm: 'running', kept: 'skipped', gone: 'skipped' } as const;
const meanings = {
  live: 'serves the users',
  warm: 'runs on the other colour: a rollback only moves the traffic',
  kept: 'its images are here: a rollback starts it first',
  gone: 'its images are gone: a rollback builds it again from its tag',
} as const;

export const releasesScreen = listScreen<ReleaseSummary>({
  name: 'releases',
  title: 'Releases',
  command: 'releases',
  key: '4',
  feed: 'releases',
  noun: 'release',
  rows: ({ documents }) => documents.releases?.data,
  id: ({ id }) => id,
  condition: ({ state }) => conditions[state],
  columns: columnsOf,
  details: detailsOf,
  empty: { text: 'Nothing was deployed yet. d asks for a tag; in a shell it is', command: 'appliance deploy <tag>' },
  actions: [
    {
      name: 'show',
      keys: ['Enter'],
      help: 'all about the marked release, and what differs from the live one',
      hint: 'show',
      changes: false,
      act: (row, state): Intent => (row ? lookAt(row, state) : nothingMarked),
    },
    {
      name: 'deploy',
      keys: ['d'],
      help: 'deploy a tag, after its plan was shown',
      hint: 'deploy',
      changes: true,
      act: (row): Intent => ({
        kind: 'ask',
        label: 'tag to deploy [--policy NAME]',
        text: row !== undefined && row.state !== 'live' ? row.tag : '',
        next: (text) => {
          if (text.trim() === '') return { kind: 'say', text: 'No tag was given; nothing was touched.' };
          const wish = deployWish(text.trim().split(/\s+/));
          return wish
            ? { kind: 'order', order: releaseOrders.deploy(wish.tag, wish.policy) }
            : { kind: 'say', text: 'A tag is wanted, and perhaps --policy NAME; for all else there is the palette.' };
        },
      }),
    },
    {
      name: 'rollback',
      keys: ['b'],
      help: 'go back to the marked release, after the plan was shown',
      hint: 'roll back',
      changes: true,
      act: (row): Intent =>
        row?.state === 'live'
          ? { kind: 'say', text: `${row.tag} is live already; mark the release to go back to.` }
          : row
            ? { kind: 'order', order: releaseOrders.rollback(row.tag) }
            : nothingMarked,
    },
    {
      name: 'pin',
      keys: ['p'],
      help: 'pin the marked release, or unpin it',
      hint: 'pin',
      changes: true,
      act: (row): Intent => (row ? { kind: 'order', order: releaseOrders.pin(row.tag, !row.pinned) } : nothingMarked),
    },
    {
      name: 'prune',
      keys: ['X'],
      help: 'remove images that retention no longer keeps',
      changes: true,
      act: (): Intent => ({ kind: 'order', order: releaseOrders.prune() }),
    },
  ],
});

const nothingMarked: Intent = { kind: 'say', text: 'No release is marked.' };

function columnsOf(rows: readonly ReleaseSummary[], { now }: State, glyphs: Glyphs): readonly Column<ReleaseSummary>[] {
  return [
    { title: 'TAG', width: fitting(rows, ({ tag }) => tag, 10, 40), text: ({ tag }) => tag },
    { title: 'STATE', width: 5, text: ({ state }) => state, color: ({ state }) => conditionColors[conditions[state]] },
    { title: 'COLOUR', width: 6, text: ({ colour }) => colour ?? glyphs.none, color: ({ colour }) => colourOf(colour) },
    {
      title: 'DEPLOYED',
      width: 16,
      align: 'right',
      text: ({ deployedAt }) => (deployedAt === null ? glyphs.none : `${age(deployedAt, now)} ago`),
    },
    { title: 'BY', width: 12, text: ({ actor }) => oneLine(actor ?? glyphs.none) },
    {
      title: 'VERDICT',
      width: 12,
      text: ({ verdict }) => (verdict === null ? glyphs.none : `${glyphs[verdict]} ${verdict}`),
      color: ({ verdict }) => (verdict === null ? undefined : conditionColors[verdict]),
    },
    { title: 'PIN', width: 6, text: ({ pinned }) => (pinned ? 'pinned' : '') },
    { title: 'SCHEMA', width: 6, align: 'right', text: ({ schema }) => String(schema ?? glyphs.none) },
    { title: 'COMMIT', width: 12, text: ({ commit }) => commit.slice(0, 12) },
  ];
}

function detailsOf(row: ReleaseSummary, state: State, { width }: Room, glyphs: Glyphs): readonly Line[] {
  const live = state.documents.releases?.data?.find((one) => one.state === 'live');
  const last = state.history.find(({ to }) => to === row.tag);
  return [
    named('Marked', [bold(row.tag), dim(`  ${meanings[row.state]}`)], width, glyphs),
    ...(live && live.id !== row.id
      ? [named('Way back', [{ text: `appliance rollback ${word(row.tag)}` }], width, glyphs)]
      : []),
    ...row.images.map((image, index) =>
      named(
        index === 0 ? 'Images' : '',
        [{ text: image.service }, dim(`  ${image.digest.slice(0, 19)}`)],
        width,
        glyphs,
      ),
    ),
    ...(last
      ? [named('Last', [dim(`${last.kind} ${last.result}, ${age(last.startedAt, state.now)} ago`)], width, glyphs)]
      : []),
  ];
}

function lookAt(row: ReleaseSummary, state: State): Intent {
  const live = state.status?.release?.tag;
  return {
    kind: 'look',
    title: `Release ${row.tag}`,
    command: `appliance releases show ${word(row.tag)}`,
    load: async (client, signal) => {
      const detail = await client.ask('release', { tag: row.tag }, signal);
      const diff =
        live === undefined || live === row.tag
          ? undefined
          : await client.ask('diff', { from: live, to: row.tag }, signal);
      return [
        ...detailLines(detail),
        ...(diff === undefined
          ? []
          : [
              [],
              [bold('What differs from the live one'), dim(`  appliance releases diff ${live} ${row.tag}`)],
              ...(diff.changes.length === 0
                ? [plain('  nothing')]
                : diff.changes.map((change) => plain(`  ${changeLine(change)}`))),
            ]),
      ];
    },
  };
}

function detailLines(detail: ReleaseDetail): Line[] {
  return [
    [dim('Commit       '), { text: detail.commit }],
    [dim('Created      '), { text: utcOf(detail.createdAt) }],
    [dim('Schema       '), { text: `${detail.schema ?? 'none'}, reads from ${detail.schemaReadableFrom ?? 'any'} on` }],
    [dim('Environment  '), { text: `${detail.environmentKeys.length} keys: ${detail.environmentKeys.join(' ')}` }],
    [dim('Images       '), { text: formatBytes(detail.imageBytes) }],
    ...detail.images.map((image): Line => [dim('             '), { text: `${image.service}  ${image.digest}` }]),
    [],
    [bold('Services')],
    ...detail.services.map(({ name, role, replicas }) =>
      plain(`  ${name}  ${role}, ${replicas === 1 ? '1 copy' : `${replicas} copies`}`),
    ),
    ...approvalLines(detail),
    [],
    [bold('History')],
    ...detail.history.map(({ at, kind, result, actor }) => plain(`  ${utcOf(at)}  ${kind} ${result}, by ${actor}`)),
  ];
}

/** Who has approved it, and the command for each approval that is missing. */
function approvalLines({ tag, approvals }: ReleaseDetail): Line[] {
  if (!approvals) return [];
  return [
    [],
    [bold('Approvals')],
    ...approvals.approvals.map(({ role, given, holders }): Line => {
      if (given) return [{ text: `  ${role}` }, dim(`  by ${oneLine(given.user)}, ${utcOf(given.time)}`)];
      const whom = holders ? `  to be asked: ${holders.map(oneLine).join(', ')}` : '';
      return [
        { text: `  ${role}` },
        { text: '  missing', color: conditionColors.inconclusive },
        dim(`  appliance approve ${word(tag)} --role ${word(role)}${whom}`),
      ];
    }),
  ];
}
