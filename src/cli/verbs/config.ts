import { exitCodes } from '../../lib/errors.ts';
import { count } from '../../lib/text.ts';
import { durationText } from '../../lib/units.ts';
import type { Call } from '../catalog.ts';
import { mark, speak } from '../output/look.ts';
import type { Session } from '../session.ts';
import type { ConfigProblem, PolicySummary } from '../wiring.ts';

export async function check(call: Call<'config check'>, session: Session): Promise<number> {
  const tools = await session.wiring.tools();
  const { file, problems, warnings } = await tools.checkConfig({ root: session.globals.root, file: call.args.file });
  const good = problems.length === 0;
  const lines = (found: readonly ConfigProblem[]) =>
    found.map((problem) => speak(session.out, `  ${problemLine(file, problem)}`));
  session.answer({ file, verdict: good ? 'pass' : 'fail', problems, warnings }, () =>
    good
      ? [
          `${mark(session.out, 'pass')} ${file} is good${warnings.length > 0 ? `; ${count(warnings.length, 'warning')}` : ''}`,
          ...lines(warnings),
        ]
      : [`${mark(session.out, 'fail')} ${file} has ${count(problems.length, 'mistake')}`, ...lines(problems)],
  );
  return good ? exitCodes.done : exitCodes.usage;
}

/** `/etc/appliance/appliance.yaml:12:3: services.backend.role: …`, as editors and terminals recognise it. */
function problemLine(file: string, { line, column, path, message }: ConfigProblem): string {
  const place = line === null ? file : `${file}:${line}${column === null ? '' : `:${column}`}`;
  return `${place}: ${path === '' ? '' : `${path}: `}${message}`;
}

export async function show(_: Call<'config show'>, session: Session): Promise<number> {
  const tools = await session.wiring.tools();
  const values = await tools.showConfig({ root: session.globals.root });
  session.answer(values, () => outline(values));
  return exitCodes.done;
}

export async function schema(_: Call<'config schema'>, session: Session): Promise<number> {
  const tools = await session.wiring.tools();
  const document = await tools.configSchema();
  // A JSON Schema is JSON for editors in either case; on a terminal it is at least readable.
  session.answer(document, () => JSON.stringify(document, undefined, 2).split('\n'));
  return exitCodes.done;
}

export async function policies(_: Call<'config policies'>, session: Session): Promise<number> {
  const tools = await session.wiring.tools();
  const all = await tools.listPolicies({ root: session.globals.root });
  session.answer(all, () => all.flatMap((policy) => policyLines(session, policy)));
  return all.every(({ problems }) => problems.length === 0) ? exitCodes.done : exitCodes.usage;
}

function policyLines(
  session: Session,
  { name, title, path, own, stages, bakeSeconds, byHand, problems }: PolicySummary,
): string[] {
  const good = problems.length === 0;
  const way = [
    stages.length === 0
      ? 'all traffic at once'
      : stages.map(({ weight, seconds }) => stageText(weight, seconds)).join(', '),
    ...(bakeSeconds > 0 ? [`then watched for ${durationText(bakeSeconds * 1_000)}`] : []),
  ];
  return [
    `${mark(session.out, good ? 'pass' : 'fail')} ${name}${title === null ? '' : `, ${title}`}${own ? ` (${path})` : ''}`,
    ...(good
      ? [
          `  ${way.join('; ')}`,
          ...byHand.map(({ id, text }) => speak(session.out, `  only a person can see: ${text} (alerts raise ${id})`)),
        ]
      : problems.map((problem) => speak(session.out, `  ${problemLine(path, problem)}`))),
  ];
}

function stageText(weight: number, seconds: number): string {
  return seconds === 0 ? `${weight} %` : `${weight} % for ${durationText(seconds * 1_000)}`;
}

/** Values as an indented outline, one per line. */
export function outline(value: unknown, indent = ''): string[] {
  if (Array.isArray(value)) {
    return value.flatMap((item) =>
      isComposite(item) ? [`${indent}-`, ...outline(item, `${indent}  `)] : [`${indent}- ${scalar(item)}`],
    );
  }
  if (typeof value !== 'object' || value === null) return [`${indent}${scalar(value)}`];
  return Object.entries(value).flatMap(([key, item]) => {
    if (!isComposite(item)) return [`${indent}${key}: ${scalar(item)}`];
    return [`${indent}${key}:`, ...outline(item, `${indent}  `)];
  });
}

function isComposite(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length > 0;
}

function scalar(value: unknown): string {
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}
