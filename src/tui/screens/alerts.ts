import type { Alert, Alerts } from '../../api/alerts.ts';
import { age } from '../../api/describe.ts';
import { messageOf } from '../../lib/errors.ts';
import { oneLine, wrap } from '../../lib/text.ts';
import { bold, clip, dim, type Glyphs, type Line, named } from '../line.ts';
import type { Intent } from '../order.ts';
import { alertOrders } from '../orders/alerts.ts';
import type { State } from '../state.ts';
import { type Column, fitting, type Room } from './columns.ts';
import { listScreen } from './list.ts';
import { conditionColors, utcOf } from './signs.ts';

/** An alert, or a silence that is in force. */
type Row =
  | { readonly kind: 'alert'; readonly alert: Alert }
  | { readonly kind: 'silence'; readonly silence: Alerts['silences'][number] };

const nothingMarked: Intent = { kind: 'say', text: 'No alert is marked.' };

export const alertsScreen = listScreen<Row>({
  name: 'alerts',
  title: 'Alerts',
  command: 'alerts',
  key: '9',
  feed: 'alerts',
  noun: 'entry',
  nouns: 'entries',
  rows: ({ documents: { alerts } }) =>
    alerts?.data && [
      ...alerts.data.alerts.map((alert): Row => ({ kind: 'alert', alert })),
      ...alerts.data.silences.map((silence): Row => ({ kind: 'silence', silence })),
    ],
  id: (row) => (row.kind === 'alert' ? `alert ${row.alert.id}` : `silence ${row.silence.id}`),
  condition: (row) => {
    if (row.kind === 'silence' || row.alert.state !== 'firing') return 'skipped';
    return row.alert.severity === 'info' ? 'inconclusive' : 'fail';
  },
  columns: columnsOf,
  about: aboutLines,
  details: detailsOf,
  empty: {
    text: 'Nothing fires and nothing is silenced. This proves that somebody would be told:',
    command: 'appliance alerts test',
  },
  actions: [
    {
      name: 'ack',
      keys: ['a', 'Enter'],
      help: 'say that you look after the marked alert',
      hint: 'look after',
      changes: true,
      act: (row): Intent =>
        row?.kind === 'alert'
          ? {
              kind: 'ask',
              label: `comment for ${row.alert.name}, or nothing`,
              text: '',
              next: (comment) => ({
                kind: 'order',
                order: alertOrders.ack(row.alert.id, row.alert.name, comment.trim()),
              }),
            }
          : nothingMarked,
    },
    {
      name: 'silence',
      keys: ['s'],
      help: 'keep alerts like the marked one from being told, for a time',
      hint: 'silence',
      changes: true,
      act: (row): Intent => (row?.kind === 'alert' ? askSilence(row.alert) : nothingMarked),
    },
    {
      name: 'unsilence',
      keys: ['u'],
      help: 'end the marked silence',
      hint: 'end silence',
      changes: true,
      act: (row): Intent =>
        row?.kind === 'silence'
          ? { kind: 'order', order: alertOrders.unsilence(row.silence.id) }
          : { kind: 'say', text: 'No silence is marked; silences stand below the alerts.' },
    },
    {
      name: 'test',
      keys: ['t'],
      help: 'send a test alert through every receiver',
      hint: 'test',
      changes: true,
      act: (): Intent => ({ kind: 'order', order: alertOrders.test() }),
    },
    {
      name: 'drill',
      keys: ['D'],
      help: 'stop a service, prove that somebody is told, start it again',
      changes: true,
      act: (_, { status }): Intent => ({
        kind: 'ask',
        label: 'service to stop for the drill',
        text: status?.services.find(({ colour }) => colour !== null)?.name.replace(/-\d+$/, '') ?? '',
        next: (service) =>
          service.trim() === ''
            ? { kind: 'say', text: 'No service was given; nothing was touched.' }
            : { kind: 'order', order: alertOrders.drill(service.trim()) },
      }),
    },
  ],
});

function askSilence(alert: Alert): Intent {
  return {
    kind: 'ask',
    label: `silence ${alert.name} for how long`,
    text: '1h',
    next: (duration) => {
      const service = alert.labels.service;
      const matchers = [`alertname=${alert.name}`, ...(service === undefined ? [] : [`service=${service}`])];
      try {
        return { kind: 'order', order: alertOrders.silence(matchers, duration.trim()) };
      } catch (error) {
        return { kind: 'say', text: messageOf(error) };
      }
    },
  };
}

function columnsOf(rows: readonly Row[], { now }: State, glyphs: Glyphs): readonly Column<Row>[] {
  const name = (row: Row) => (row.kind === 'alert' ? row.alert.name : row.silence.matchers);
  return [
    { title: 'ALERT', width: fitting(rows, name, 8, 36), text: name },
    {
      title: 'SEVERITY',
      width: 8,
      text: (row) => (row.kind === 'alert' ? row.alert.severity : 'silence'),
      color: (row) =>
        row.kind === 'alert' && row.alert.state === 'firing'
          ? conditionColors[row.alert.severity === 'critical' ? 'fail' : 'inconclusive']
          : undefined,
    },
    { title: 'STATE', width: 12, text: (row) => (row.kind === 'alert' ? row.alert.state : 'in force') },
    {
      title: 'SINCE',
      width: 12,
      align: 'right',
      text: (row) => (row.kind === 'alert' ? age(row.alert.since, now) : glyphs.none),
    },
    {
      title: 'SUMMARY',
      width: fitting(rows, summaryOf, 7, 80),
      text: summaryOf,
    },
  ];
}

function summaryOf(row: Row): string {
  return oneLine(row.kind === 'alert' ? row.alert.summary : `by ${row.silence.by}, until ${utcOf(row.silence.until)}`);
}

function aboutLines({ documents: { alerts } }: State, { width }: Room, glyphs: Glyphs): readonly Line[] {
  if (!alerts?.data) return [];
  const { alertmanager, onCall } = alerts.data;
  const told: Line =
    alertmanager === null
      ? [
          { text: ` ${glyphs.inconclusive} `, color: 'yellow' },
          { text: 'No Alertmanager is configured: nobody is told.' },
        ]
      : alertmanager.problem === null
        ? [{ text: ` ${glyphs.pass} `, color: 'green' }, { text: `Alertmanager ${alertmanager.address}` }]
        : [{ text: ` ${glyphs.fail} `, color: 'red' }, { text: oneLine(alertmanager.problem) }];
  const who: Line = onCall
    ? [...told, dim(`  ${glyphs.dot} on call: `), bold(oneLine(onCall.name)), dim(` until ${utcOf(onCall.until)}`)]
    : told;
  return [clip(who, width, glyphs.cut)];
}

function detailsOf(row: Row, _: State, { width }: Room, glyphs: Glyphs): readonly Line[] {
  if (row.kind === 'silence') {
    const { matchers, by, until, comment } = row.silence;
    return [
      named('Silence', [bold(matchers)], width, glyphs),
      named('By', [{ text: `${oneLine(by)} until ${utcOf(until)}` }], width, glyphs),
      ...(comment === '' ? [] : [named('Comment', [{ text: oneLine(comment) }], width, glyphs)]),
    ];
  }
  const { alert } = row;
  const wide = Math.max(20, width - 14);
  return [
    named(
      'Marked',
      [
        bold(alert.name),
        dim(`  ${alert.id.slice(0, 8)} from ${alert.source === 'agent' ? 'the agent' : 'Alertmanager'}`),
      ],
      width,
      glyphs,
    ),
    ...wrap(oneLine(alert.summary), wide).map((text, index) =>
      named(index === 0 ? 'Summary' : '', [{ text }], width, glyphs),
    ),
    ...(alert.hint === null ? [] : [named('Do', [{ text: `${glyphs.arrow} ${oneLine(alert.hint)}` }], width, glyphs)]),
    ...(alert.receivers.length === 0 ? [] : [named('Told', [{ text: alert.receivers.join(', ') }], width, glyphs)]),
    ...(alert.by === null
      ? []
      : [
          named(
            'By',
            [{ text: `${oneLine(alert.by)}${alert.until === null ? '' : ` until ${utcOf(alert.until)}`}` }],
            width,
            glyphs,
          ),
        ]),
  ];
}
