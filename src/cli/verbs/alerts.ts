import type { Alert, Alerts } from '../../api/alerts.ts';
import { age } from '../../api/describe.ts';
import { ApplianceError, exitCodes } from '../../lib/errors.ts';
import { parseDuration } from '../../lib/units.ts';
import type { Call } from '../catalog.ts';
import { confirmByName } from '../confirm.ts';
import { exitCodeOfVerdict } from '../exit.ts';
import { type Look, mark, paint, type Style, speak } from '../output/look.ts';
import { table } from '../output/table.ts';
import type { Session } from '../session.ts';
import { operate, waitOf } from './operate.ts';

const severityStyles: Readonly<Record<Alert['severity'], Style | undefined>> = {
  critical: 'red',
  warning: 'yellow',
  info: undefined,
};

export async function list(_: Call<'alerts'>, session: Session): Promise<number> {
  const alerts = await (await session.client()).ask('alerts', {}, session.signal);
  session.answer(alerts, () => alertsLines(alerts, session.out, Date.now()));
  return exitCodes.done;
}

export async function test(call: Call<'alerts test'>, session: Session): Promise<number> {
  const input = { receivers: [...call.args.receiver] };
  const report = await (await session.client()).ask('alertsTest', input, session.signal);
  session.answer(report, () =>
    report.checks.flatMap(({ id, verdict, observed, hint }) => [
      `${mark(session.out, verdict)} ${speak(session.out, `${id}: ${observed}`)}`,
      ...(hint === undefined ? [] : [speak(session.out, `  → ${hint}`)]),
    ]),
  );
  return exitCodeOfVerdict(report.verdict);
}

export async function drill(call: Call<'alerts drill'>, session: Session): Promise<number> {
  const { wait, detach } = call.options;
  const { service } = call.args;
  const name = service ?? 'drill';
  const what = service === undefined ? 'the service of the first route' : service;
  await confirmByName(session, name, `This stops ${what} for about a minute. Users get errors until it runs again.`);
  return operate(session, {
    route: 'alertsDrill',
    title: `drill${service === undefined ? '' : ` ${service}`}`,
    detach,
    input: { wait: waitOf(wait), ...(service === undefined ? {} : { service }) },
  });
}

export async function silence(call: Call<'alerts silence'>, session: Session): Promise<number> {
  const matchers = [...call.args.matcher];
  if (matchers.length === 0) {
    throw new ApplianceError('usage', 'a silence needs at least one matcher', {
      hint: 'for example: appliance alerts silence service=backend --for 30m',
    });
  }
  const made = await (await session.client()).ask(
    'alertsSilence',
    { matchers, duration: durationOf(call.options.for, '1h'), comment: call.options.comment ?? '' },
    session.signal,
  );
  session.answer(made, () => [
    `${mark(session.out, 'pass')} ${speak(session.out, `${made.matchers} is silenced until ${made.until} (${made.id})`)}`,
  ]);
  return exitCodes.done;
}

export async function unsilence(call: Call<'alerts unsilence'>, session: Session): Promise<number> {
  const ended = await (await session.client()).ask('alertsUnsilence', { id: call.args.silence }, session.signal);
  session.answer(ended, () => [
    `${mark(session.out, 'pass')} ${speak(session.out, `${ended.matchers} is told again`)}`,
  ]);
  return exitCodes.done;
}

export async function raise(call: Call<'alerts raise'>, session: Session): Promise<number> {
  const input = { condition: call.args.condition, comment: call.options.comment ?? '' };
  const raised = await (await session.client()).ask('alertsRaise', input, session.signal);
  session.answer(raised, () =>
    raised.flatMap(({ severity, summary, hint }) => [
      `${mark(session.out, 'pass')} ${speak(session.out, `${severity} until it is resolved: ${summary}`)}`,
      ...(hint === null ? [] : [speak(session.out, `  → ${hint}`)]),
    ]),
  );
  return exitCodes.done;
}

export async function resolve(call: Call<'alerts resolve'>, session: Session): Promise<number> {
  const input = { condition: call.args.condition };
  const resolved = await (await session.client()).ask('alertsResolve', input, session.signal);
  session.answer(resolved, () =>
    resolved.map(({ summary }) => `${mark(session.out, 'pass')} ${speak(session.out, `over: ${summary}`)}`),
  );
  return exitCodes.done;
}

export async function ack(call: Call<'alerts ack'>, session: Session): Promise<number> {
  const acknowledged = await (await session.client()).ask(
    'alertsAck',
    { alert: call.args.alert, duration: durationOf(call.options.for, '4h'), comment: call.options.comment ?? '' },
    session.signal,
  );
  session.answer(acknowledged, () =>
    acknowledged.map(({ name, id }) => `${mark(session.out, 'pass')} ${name} (${id}) is yours; it is not escalated`),
  );
  return exitCodes.done;
}

/** @returns milliseconds */
function durationOf(option: string | undefined, otherwise: string): number {
  return parseDuration(option ?? otherwise);
}

/** @param now milliseconds since 1970 */
export function alertsLines({ alertmanager, onCall, alerts, silences }: Alerts, look: Look, now: number): string[] {
  const line = (name: string, text: string) => `  ${paint(look, 'dim', name.padEnd(12))} ${speak(look, text)}`;
  const reach =
    alertmanager === null
      ? `${mark(look, 'inconclusive')} no Alertmanager: nobody is told of anything`
      : alertmanager.problem === null
        ? `${mark(look, 'pass')} Alertmanager at ${alertmanager.address} answers`
        : `${mark(look, 'fail')} ${speak(look, alertmanager.problem)}`;
  return [
    reach,
    ...(onCall ? [line('on call', `${onCall.name} (${onCall.receivers.join(', ')}) until ${onCall.until}`)] : []),
    ...(alerts.length === 0 ? ['  nothing fires'] : ['', ...alertTable(alerts, look, now)]),
    ...(silences.length === 0 ? [] : ['']),
    ...silences.map(({ id, matchers, by, comment, until }) =>
      line(`silence ${id.slice(0, 8)}`, `${matchers} until ${until}, by ${by}${comment ? `: ${comment}` : ''}`),
    ),
  ];
}

function alertTable(alerts: readonly Alert[], look: Look, now: number): string[] {
  const state = ({ state: is, by }: Alert) => (by === null ? is : `${is} by ${by}`);
  return table(
    [
      { title: 'SEVERITY', value: (row) => row.severity, style: (row) => severityStyles[row.severity] },
      { title: 'ALERT', value: (row) => row.name, least: 12 },
      { title: 'SINCE', value: (row) => age(row.since, now), align: 'right' },
      { title: 'STATE', value: state, least: 8 },
      { title: 'SUMMARY', value: (row) => row.summary, least: 20 },
      { title: 'ID', value: (row) => row.id, dropAt: 1 },
    ],
    alerts,
    look,
    2,
  );
}
