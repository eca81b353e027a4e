import { age, share } from '../../api/describe.ts';
import type { Model, ModelDetail } from '../../api/models.ts';
import { count, oneLine } from '../../lib/text.ts';
import { formatBytes } from '../../lib/units.ts';
import { bold, clip, dim, type Glyphs, type Line, named, namedText, plain } from '../line.ts';
import type { Intent } from '../order.ts';
import { modelOrders } from '../orders/models.ts';
import { word } from '../orders/word.ts';
import type { State } from '../state.ts';
import { type Column, fitting, type Room } from './columns.ts';
import { listScreen } from './list.ts';
import { conditionColors, utcOf } from './signs.ts';

const conditions = {
  production: 'pass',
  validated: 'running',
  registered: 'inconclusive',
  archived: 'skipped',
} as const;

const labelOf = ({ name, version }: Model) => `${name}@${version}`;
const metricsOf = ({ metrics }: Model) =>
  Object.entries(metrics)
    .map(([name, value]) => `${name} ${Number(value.toPrecision(4))}`)
    .join('  ');
const nothingMarked: Intent = { kind: 'say', text: 'No version is marked.' };

export const modelsScreen = listScreen<Model>({
  name: 'models',
  title: 'Models',
  command: 'models list',
  key: '6',
  feed: 'models',
  noun: 'version',
  rows: ({ documents }) => documents.models?.data,
  id: labelOf,
  condition: ({ state }) => conditions[state],
  columns: columnsOf,
  about: aboutOf,
  details: detailsOf,
  empty: { text: 'No version is registered. This registers a directory:', command: 'appliance models add DIRECTORY' },
  actions: [
    {
      name: 'show',
      keys: ['Enter'],
      help: 'all about the marked version',
      hint: 'show',
      changes: false,
      act: (row): Intent => (row ? lookAt(row) : nothingMarked),
    },
    {
      name: 'promote',
      keys: ['p'],
      help: 'test the marked version against its gates and put it in force',
      hint: 'promote',
      changes: true,
      act: (row, state): Intent =>
        row ? { kind: 'order', order: modelOrders.promote(labelOf(row), state) } : nothingMarked,
    },
    {
      name: 'rollback',
      keys: ['b'],
      help: 'put the marked version in force again, without gates',
      hint: 'roll back',
      changes: true,
      act: (row, state): Intent => {
        if (!row) return nothingMarked;
        if (row.inForce) return { kind: 'say', text: `${row.version} is in force; mark the version to go back to.` };
        if (row.promotedAt === null) {
          return {
            kind: 'say',
            text: `${row.version} was never in production, so nothing goes back to it; p promotes it.`,
          };
        }
        return { kind: 'order', order: modelOrders.rollback(labelOf(row), state) };
      },
    },
    {
      name: 'verify',
      keys: ['v'],
      help: 'read the files of the marked version and compare them with what was registered',
      hint: 'verify',
      changes: false,
      act: (row): Intent => (row ? { kind: 'order', order: modelOrders.verify(labelOf(row)) } : nothingMarked),
    },
    {
      name: 'archive',
      keys: ['a'],
      help: 'take the marked version out of what may be promoted, or back in',
      changes: true,
      act: (row): Intent =>
        row ? { kind: 'order', order: modelOrders.archive(labelOf(row), row.state === 'archived') } : nothingMarked,
    },
    {
      name: 'retrain',
      keys: ['T'],
      help: 'let the application train, and promote what comes out if it is better',
      changes: true,
      act: (): Intent => ({ kind: 'order', order: modelOrders.retrain() }),
    },
  ],
});

/** `in force`, or the share of the requests that it answers beside that one. */
function forceOf({ inForce, weight }: Model): string {
  if (inForce) return 'in force';
  return weight === null ? '' : share(weight);
}

/** What serves, where it is no version of the list. */
function aboutOf({ documents, status }: State, { width }: Room, glyphs: Glyphs): readonly Line[] {
  const active = status?.models.active;
  const rows = documents.models?.data;
  if (!active || rows === undefined || rows.some(({ inForce }) => inForce)) return [];
  return [
    clip(
      [
        { text: ` ${glyphs.inconclusive} `, color: conditionColors.inconclusive, bold: true },
        { text: `${active.name} ${active.version} serves` },
        dim(`  ${active.sha256.slice(0, 12)}, from the directory itself`),
      ],
      width,
      glyphs.cut,
    ),
  ];
}

/** Where all versions are of one model, its name says nothing. */
function shortOf(rows: readonly Model[]): (row: Model) => string {
  return new Set(rows.map(({ name }) => name)).size > 1 ? labelOf : ({ version }) => version;
}

function columnsOf(rows: readonly Model[], { now }: State, glyphs: Glyphs): readonly Column<Model>[] {
  return [
    { title: 'VERSION', width: fitting(rows, shortOf(rows), 10, 40), text: shortOf(rows) },
    {
      title: 'STATE',
      width: 10,
      text: ({ state }) => state,
      color: ({ state }) => conditionColors[conditions[state]],
    },
    { title: 'FORCE', width: 8, text: (row) => forceOf(row) },
    {
      title: 'PROMOTED',
      width: 16,
      align: 'right',
      text: ({ promotedAt }) => (promotedAt === null ? glyphs.none : `${age(promotedAt, now)} ago`),
    },
    { title: 'SIZE', width: 8, align: 'right', text: ({ bytes }) => formatBytes(bytes) },
    { title: 'METRICS', width: fitting(rows, metricsOf, 7, 60), text: metricsOf },
    { title: 'BY', width: 12, text: ({ actor }) => oneLine(actor) },
    { title: 'ALIASES', width: 20, text: ({ aliases }) => aliases.join(' ') },
  ];
}

function detailsOf(row: Model, { now }: State, { width }: Room, glyphs: Glyphs): readonly Line[] {
  return [
    named(
      'Marked',
      [bold(labelOf(row)), dim(`  ${count(row.files, 'file')}, ${formatBytes(row.bytes)}`)],
      width,
      glyphs,
    ),
    ...namedText('Metrics', metricsOf(row) || 'none', width, glyphs),
    named('Added', [{ text: `${age(row.createdAt, now)} ago by ${oneLine(row.actor)}` }], width, glyphs),
    named('Manifest', [dim(row.sha256)], width, glyphs),
  ];
}

function lookAt(row: Model): Intent {
  const version = labelOf(row);
  return {
    kind: 'look',
    title: `Model ${version}`,
    command: `appliance models show ${word(version)}`,
    load: async (client, signal) => modelLines(await client.ask('modelsShow', { version }, signal)),
  };
}

function modelLines(model: ModelDetail): Line[] {
  return [
    [dim('State        '), { text: `${model.state}${model.inForce ? ', in force' : ''}` }],
    [
      dim('Trained      '),
      { text: `${model.trainedAt === null ? 'unknown' : utcOf(model.trainedAt)}  ${model.algorithm ?? ''}` },
    ],
    [dim('Manifest     '), { text: model.sha256 }],
    [dim('Directory    '), { text: model.directory }],
    [dim('Features     '), { text: model.features.join(' ') }],
    [
      dim('Libraries    '),
      {
        text: Object.entries(model.libraries)
          .map(([name, version]) => `${name} ${version}`)
          .join(', '),
      },
    ],
    [],
    [bold('Metrics, in the last versions up to this one')],
    ...Object.entries(model.trends).map(([name, values]) =>
      plain(`  ${name}  ${values.map((value) => (value === null ? '?' : Number(value.toPrecision(4)))).join('  ')}`),
    ),
    [],
    [bold('Files')],
    ...model.artefacts.map(({ path, bytes, sha256 }) =>
      plain(`  ${path}  ${formatBytes(bytes)}  ${sha256.slice(0, 16)}`),
    ),
    [],
    [bold('History')],
    ...model.history.map(({ time, event, actor, reason }) =>
      plain(`  ${utcOf(time)}  ${event} by ${actor}${reason === null ? '' : `: ${reason}`}`),
    ),
  ];
}
