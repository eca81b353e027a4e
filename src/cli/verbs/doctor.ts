import type { Client } from '../../api/client.ts';
import { seconds } from '../../api/describe.ts';
import type { CauseShape, DoctorEvent, DoctorReport, FixShape, SymptomShape } from '../../api/doctor.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { count, wrap } from '../../lib/text.ts';
import type { Call } from '../catalog.ts';
import { exitCodeOfVerdict } from '../exit.ts';
import { type Look, mark, paint, speak } from '../output/look.ts';
import type { Session } from '../session.ts';
import { waitOf } from './operate.ts';

export async function doctor(call: Call<'doctor'>, session: Session): Promise<number> {
  const symptom = call.args.symptom.join(' ');
  const { fix, wait } = call.options;
  const about = symptom === '' ? {} : { symptom };
  const asked = async (client: Client, agentProblem: string | null): Promise<DoctorReport> => {
    const events = fix
      ? client.stream('doctorFix', { ...about, wait: waitOf(wait) }, session.signal)
      : client.stream('doctor', { ...about, agentProblem }, session.signal);
    return reportIn(events, session);
  };
  const report = await orHere(session, (client, problem) => asked(client, problem));
  session.answer(report, () => lines(report, session.out, session.globals.verbose));
  return exitCodeOfVerdict(report.verdict);
}

/**
 * Has the agent do something, or this process where there is none, or one that does not answer: what diagnoses must also
 * work on the day on which the agent itself is the trouble.
 * @param work is told why an agent that runs was not asked
 */
export async function orHere<T>(
  session: Session,
  work: (client: Client, agentProblem: string | null) => Promise<T>,
): Promise<T> {
  const client = await session.client();
  try {
    return await work(client, null);
  } catch (error) {
    const silent = error instanceof ApplianceError && error.code === 'agent_unreachable' && client.host === 'agent';
    if (!silent || session.signal.aborted) throw error;
    session.note(`the agent does not answer (${error.message}); going on without it`);
    const here = await session.wiring.connectHere({ root: session.globals.root });
    try {
      return await work(here, error.message);
    } finally {
      await here.close();
    }
  }
}

async function reportIn(events: AsyncIterable<DoctorEvent>, session: Session): Promise<DoctorReport> {
  let report: DoctorReport | undefined;
  for await (const event of events) {
    if (event.event === 'report') report = event.report;
    else session.note(event.text);
  }
  session.signal.throwIfAborted();
  if (report) return report;
  throw new ApplianceError('agent_unreachable', 'the agent ended before it had looked at everything', {
    hint: 'run the command again',
  });
}

/** Columns of a report where nobody says how wide the screen is. */
const usualWidth = 80;

function lines(report: DoctorReport, look: Look, verbose: boolean): string[] {
  const { symptoms, fixes, verdict, symptom, by, seconds: took } = report;
  const width = Math.min(look.width, usualWidth);
  const well = symptoms.filter((one) => one.verdict === 'pass');
  // A cause that is behind several symptoms is told in full once; what has no other one needs no paragraph of its own.
  const told = new Set<string>();
  const all = symptom === null && !verbose;
  const rest = all ? symptoms.filter((one) => one.verdict !== 'pass') : symptoms;
  const paragraphs = rest.map((one) => {
    const news = one.causes.length === 0 || one.causes.some(({ id }) => !told.has(id));
    return { symptom: one.symptom, text: all && !news ? undefined : symptomLines(one, look, width, told, !all) };
  });
  const same = paragraphs.flatMap(({ symptom: name, text }) => (text === undefined ? [name] : []));
  return [
    ...paragraphs.flatMap(({ text }) => (text === undefined ? [] : [...text, ''])),
    ...(fixes.length === 0
      ? []
      : [paint(look, 'bold', 'What was done'), ...fixes.flatMap((one) => fixLines(one, look, width)), '']),
    `${mark(look, verdict)} ${verdict}: ${summaryOf(report)} in ${seconds(took)}`,
    ...(same.length > 0 ? wrapped(`the same is behind: ${same.join(', ')}`, width, '  ', look) : []),
    ...(all && well.length > 0
      ? wrapped(`nothing speaks for: ${well.map((one) => one.symptom).join(', ')}`, width, '  ', look)
      : []),
    ...(by === 'in-process' ? [paint(look, 'dim', '  looked at without an agent')] : []),
    ...(fixes.length === 0 && symptoms.some(({ causes }) => causes.some(isFixable))
      ? [paint(look, 'dim', speak(look, '  --fix runs the commands marked as safe'))]
      : []),
  ];
}

const isFixable = ({ confidence, commands }: CauseShape): boolean =>
  confidence !== 'possible' && commands.some(({ safe }) => safe);

function summaryOf({ symptoms }: DoctorReport): string {
  const causes = new Set(symptoms.flatMap((one) => one.causes.map(({ id }) => id)));
  const open = symptoms.filter(({ verdict }) => verdict === 'inconclusive').length;
  const parts = [
    causes.size === 0 ? 'no cause was found' : `${count(causes.size, 'cause')} found`,
    ...(open === 0 ? [] : [`${open} undecided`]),
  ];
  return parts.join(', ');
}

function symptomLines(one: SymptomShape, look: Look, width: number, told: Set<string>, whole: boolean): string[] {
  const { symptom, title, requirement, verdict, observed, causes, unknown, byHand } = one;
  const ids = requirement === '' || !whole ? '' : ` (${requirement})`;
  const news = causes.filter(({ id }) => !told.has(id));
  const known = causes.filter(({ id }) => told.has(id));
  for (const { id } of news) told.add(id);
  return [
    `${mark(look, verdict)} ${paint(look, 'bold', symptom)}  ${speak(look, `${title}${ids}`)}`,
    ...(causes.length === 0 ? wrapped(observed, width, '    ', look) : []),
    ...news.flatMap((cause) => causeLines(cause, look, width)),
    ...(known.length === 0
      ? []
      : wrapped(`see above: ${known.map(({ summary }) => summary).join('; ')}`, width, '    ', look)),
    ...(whole || verdict === 'inconclusive' ? unknownLines(unknown, look, width) : []),
    ...(whole && verdict !== 'pass'
      ? ['    by hand:', ...byHand.flatMap((command) => commandLines(command, look, width))]
      : []),
  ];
}

/** What could not be looked at; what has the same reason in one line. */
function unknownLines(unknown: SymptomShape['unknown'], look: Look, width: number): string[] {
  const reasons = Map.groupBy(unknown, ({ why }) => why);
  return [...reasons].flatMap(([why, all]) =>
    wrapped(`not seen: ${all.map(({ what }) => what).join(', ')} (${why})`, width, '    ', look),
  );
}

function causeLines({ summary, confidence, evidence, commands }: CauseShape, look: Look, width: number): string[] {
  const style = confidence === 'certain' ? 'red' : 'yellow';
  return [
    ...wrapped(summary, width - 12, '  ', look).map((line, index) =>
      index === 0 ? `${line} ${paint(look, style, `(${confidence})`)}` : line,
    ),
    ...evidence.flatMap(({ source, observed }) =>
      wrapped(`${source}: ${observed}`, width, '      ', look).map((line) => paint(look, 'dim', line)),
    ),
    ...commands.flatMap((command) => commandLines(command, look, width)),
  ];
}

function commandLines({ command, about, safe }: CauseShape['commands'][number], look: Look, width: number): string[] {
  return [
    `    ${speak(look, '→')} ${paint(look, 'cyan', command)}${safe ? paint(look, 'green', '  safe') : ''}`,
    ...wrapped(about, width, '        ', look).map((line) => paint(look, 'dim', line)),
  ];
}

function fixLines({ command, did, result, verified, seconds: took }: FixShape, look: Look, width: number): string[] {
  const seen = {
    gone: 'the cause is gone',
    'still-there': 'the cause is still there',
    unknown: 'whether it helped cannot be seen',
  }[verified];
  const sign =
    result === 'failed' || verified === 'still-there' ? 'fail' : verified === 'gone' ? 'pass' : 'inconclusive';
  return [`  ${mark(look, sign)} ${command}`, ...wrapped(`${did}; ${seen} (${seconds(took)})`, width, '      ', look)];
}

function wrapped(text: string, width: number, indent: string, look: Look): string[] {
  return wrap(speak(look, text), width - indent.length).map((line) => `${indent}${line}`);
}
