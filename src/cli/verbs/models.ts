import { resolve } from 'node:path';
import { age } from '../../api/describe.ts';
import type { Model, ModelDetail, ModelHistoryEntry } from '../../api/models.ts';
import type { Output } from '../../api/routes.ts';
import { ApplianceError, exitCodes } from '../../lib/errors.ts';
import { count } from '../../lib/text.ts';
import { formatBytes } from '../../lib/units.ts';
import type { Call } from '../catalog.ts';
import { confirmByName } from '../confirm.ts';
import { exitCodeOfVerdict } from '../exit.ts';
import { type Look, mark, paint, type Style, speak } from '../output/look.ts';
import { sparkline } from '../output/sparkline.ts';
import { table } from '../output/table.ts';
import type { Session } from '../session.ts';

const stateStyles: Readonly<Record<Model['state'], Style | undefined>> = {
  production: 'green',
  validated: 'cyan',
  registered: undefined,
  archived: 'dim',
};
/** Metrics that the list has room for. */
const listed = 2;

export async function list(call: Call<'models list'>, session: Session): Promise<number> {
  const { state, limit, before } = call.options;
  const models = await (await session.client()).ask(
    'models',
    {
      ...(call.args.name === undefined ? {} : { name: call.args.name }),
      ...(state === undefined ? {} : { state: state as Model['state'] }),
      ...(before === undefined ? {} : { before }),
      ...(limit === undefined ? {} : { limit: countOf(limit, 1_000) }),
    },
    session.signal,
  );
  session.answer(models, () =>
    models.length === 0
      ? ['no version is registered; appliance models import takes over what releases brought along']
      : modelTable(models, session.out),
  );
  return exitCodes.done;
}

export async function show(call: Call<'models show'>, session: Session): Promise<number> {
  const version = call.args.version ?? 'production';
  const model = await (await session.client()).ask('modelsShow', { version }, session.signal);
  session.answer(model, () => modelLines(model, session.out));
  return exitCodes.done;
}

export async function add(call: Call<'models add'>, session: Session): Promise<number> {
  const { policy } = call.options;
  const directory = resolve(call.args.directory);
  const input = { directory, ...(policy === undefined ? {} : { policy }) };
  const model = await (await session.client()).ask('modelsAdd', input, session.signal);
  session.answer(model, () => [
    `${mark(session.out, 'pass')} ${nameOf(model)} ${model.added ? 'is registered' : 'was registered before, with the same bytes'}: ${count(model.files, 'file')}, ${formatBytes(model.bytes)}, manifest ${model.sha256.slice(0, 12)}`,
    ...(model.added ? [speak(session.out, `  → appliance models promote ${nameOf(model)}`)] : []),
  ]);
  return exitCodes.done;
}

export async function verify(call: Call<'models verify'>, session: Session): Promise<number> {
  const { version } = call.args;
  const client = await session.client();
  const repaired = call.options.repair ? await client.ask('modelsRepair', {}, session.signal) : undefined;
  const report = await client.ask('modelsVerify', version === undefined ? {} : { version }, session.signal);
  session.answer(repaired ? { ...report, repaired } : report, () => [
    ...(repaired ? repairLines(repaired, session.out) : []),
    ...(report.checks.length === 0
      ? [`${mark(session.out, 'inconclusive')} no version is in production or validated`]
      : report.checks.flatMap(({ id, verdict, observed, expected, hint }) => [
          `${mark(session.out, verdict)} ${id}: ${observed}${expected === undefined ? '' : ` instead of ${expected}`}`,
          ...(hint === undefined ? [] : [speak(session.out, `  → ${hint}`)]),
        ])),
  ]);
  return exitCodeOfVerdict(report.verdict);
}

function repairLines({ setAside, imported, skipped }: Output<'modelsRepair'>, look: Look): string[] {
  return [
    setAside === null
      ? `${mark(look, 'pass')} the registry is whole`
      : `${mark(look, 'pass')} the damaged registry is kept as ${setAside}`,
    ...imported.map((model) => `${mark(look, 'pass')} ${nameOf(model)} is registered again`),
    ...skipped.map(({ path, reason }) => `${mark(look, 'skipped')} ${path}: ${speak(look, reason)}`),
  ];
}

export async function history(call: Call<'models history'>, session: Session): Promise<number> {
  const { limit } = call.options;
  const { name } = call.args;
  const entries = await (await session.client()).ask(
    'modelsHistory',
    { ...(name === undefined ? {} : { name }), ...(limit === undefined ? {} : { limit: countOf(limit, 10_000) }) },
    session.signal,
  );
  session.answer(entries, () => (entries.length === 0 ? ['nothing was recorded'] : historyTable(entries, session.out)));
  return exitCodes.done;
}

export async function diff(call: Call<'models diff'>, session: Session): Promise<number> {
  const { from, to, changes } = await (await session.client()).ask('modelsDiff', call.args, session.signal);
  session.answer({ from, to, changes }, () => [
    speak(session.out, `${from} → ${to}`),
    ...(changes.length === 0
      ? ['  no difference']
      : table(
          [
            { title: 'WHAT', value: (row) => row.area },
            { title: 'NAME', value: (row) => row.name, least: 12 },
            { title: 'BEFORE', value: (row) => row.from ?? '–', align: 'right', least: 8 },
            { title: 'AFTER', value: (row) => row.to ?? '–', align: 'right', least: 8 },
            { title: 'CHANGE', value: (row) => movement(row.area, row.from, row.to), align: 'right', dropAt: 1 },
          ],
          changes,
          session.out,
          2,
        )),
  ]);
  return exitCodes.done;
}

export async function archive(call: Call<'models archive'>, session: Session): Promise<number> {
  const { undo, prune } = call.options;
  const { version } = call.args;
  if (prune) await confirmByName(session, version, `This removes the files of ${version} from this host.`);
  const model = await (await session.client()).ask('modelsArchive', { version, undo, prune }, session.signal);
  const files = prune ? `its files are gone, ${formatBytes(model.freed)} are free` : 'its files stay';
  session.answer(model, () => [
    `${mark(session.out, 'pass')} ${nameOf(model)} ${undo ? 'may be promoted again' : `is archived; ${files}`}`,
  ]);
  return exitCodes.done;
}

export const nameOf = ({ name, version }: Pick<Model, 'name' | 'version'>): string => `${name}@${version}`;

const shareOf = ({ weight }: Model): string => (weight === null ? '' : `${Number((weight * 100).toFixed(2))} %`);

function countOf(text: string, most: number): number {
  if (/^[1-9]\d{0,5}$/.test(text) && Number(text) <= most) return Number(text);
  throw new ApplianceError('usage', `--limit needs a number from 1 to ${most}, not "${text}"`);
}

/** Relative change of a metric: `+1.2 %`. */
function movement(area: string, from: string | null, to: string | null): string {
  if (area !== 'metric' || from === null || to === null || Number(from) === 0) return '';
  const percent = ((Number(to) - Number(from)) / Math.abs(Number(from))) * 100;
  return `${percent > 0 ? '+' : ''}${percent.toFixed(1)} %`;
}

function modelTable(models: readonly Model[], look: Look): string[] {
  const metrics = [...new Set(models.flatMap((model) => Object.keys(model.metrics)))].slice(0, listed);
  return table(
    [
      { title: 'MODEL', value: (row) => row.name, least: 10 },
      { title: 'VERSION', value: (row) => row.version, least: 10 },
      { title: 'STATE', value: (row) => row.state, style: (row) => stateStyles[row.state] },
      { title: 'IN FORCE', value: (row) => (row.inForce ? 'yes' : shareOf(row)), dropAt: 2 },
      ...metrics.map((name) => ({
        title: name.toUpperCase(),
        value: (row: Model) => String(row.metrics[name] ?? '–'),
        align: 'right' as const,
        dropAt: 4,
      })),
      { title: 'SIZE', value: (row) => formatBytes(row.bytes), align: 'right', dropAt: 5 },
      { title: 'ADDED', value: (row) => `${age(row.createdAt, Date.now())} ago`, dropAt: 3 },
      { title: 'BY', value: (row) => row.actor, dropAt: 6, least: 6 },
      { title: 'ALIASES', value: (row) => row.aliases.join(', '), dropAt: 1 },
    ],
    models,
    look,
  );
}

function modelLines(model: ModelDetail, look: Look): string[] {
  const line = (name: string, text: string) => `  ${paint(look, 'dim', name.padEnd(12))} ${speak(look, text)}`;
  const heading = (text: string) => ['', paint(look, 'bold', text)];
  const libraries = Object.entries(model.libraries).map(([name, version]) => `${name} ${version}`);
  const share = model.weight === null ? '' : `, ${shareOf(model)} of the requests`;
  const state = `${model.state}${model.inForce ? ', in force' : share}`;
  return [
    `${paint(look, 'bold', nameOf(model))}  ${paint(look, stateStyles[model.state], state)}`,
    line('aliases', model.aliases.join(', ') || '–'),
    line('manifest', model.sha256),
    line('added', `${model.createdAt} by ${model.actor}, from ${model.source}`),
    line('promoted', model.promotedAt ?? 'never'),
    line('trained', `${model.trainedAt ?? 'unknown'}${model.algorithm === null ? '' : `, ${model.algorithm}`}`),
    line('features', model.features.join(', ') || '–'),
    line('libraries', libraries.join(', ') || '–'),
    line('lies in', model.directory),
    ...heading('Metrics, in the last versions up to this one'),
    ...(Object.keys(model.trends).length === 0
      ? ['  none; put a metrics.json beside the manifest']
      : table(
          [
            { title: 'METRIC', value: ([name]) => name, least: 12 },
            { title: 'VALUE', value: ([name]) => String(model.metrics[name] ?? '–'), align: 'right' },
            { title: 'TREND', value: ([, values]) => sparkline(values, look) },
          ],
          Object.entries(model.trends),
          look,
          2,
        )),
    ...heading(`Files (${formatBytes(model.bytes)})`),
    ...table(
      [
        { title: 'FILE', value: (row) => row.path, least: 16 },
        { title: 'SIZE', value: (row) => formatBytes(row.bytes), align: 'right' },
        { title: 'SHA-256', value: (row) => row.sha256, least: 12 },
      ],
      model.artefacts,
      look,
      2,
    ),
    ...(model.reports.length === 0 ? [] : heading('Gates')),
    ...model.reports.map(({ time, verdict }) => `  ${mark(look, verdict)} ${time} ${verdict}`),
    ...(model.approvals.length === 0 ? [] : heading('Approvals')),
    ...model.approvals.map(({ time, role, actor }) => `  ${time} ${actor} as ${role}`),
    ...heading('History'),
    ...historyTable(model.history, look, 2),
  ];
}

function historyTable(entries: readonly ModelHistoryEntry[], look: Look, indent = 0): string[] {
  return table(
    [
      { title: 'TIME', value: (row) => row.time },
      { title: 'WHAT', value: (row) => row.event },
      { title: 'VERSION', value: nameOf, least: 12 },
      { title: 'INSTEAD OF', value: (row) => row.replaced ?? '', least: 8, dropAt: 2 },
      { title: 'BY', value: (row) => row.actor, least: 6 },
      { title: 'WHY', value: (row) => row.reason ?? '', dropAt: 1, least: 8 },
    ],
    entries,
    look,
    indent,
  );
}
