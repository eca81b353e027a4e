import type { Certificate } from '../../api/certificates.ts';
import { age, type Condition } from '../../api/describe.ts';
import { oneLine } from '../../lib/text.ts';
import { bold, dim, type Glyphs, type Line, named } from '../line.ts';
import type { Intent, Order } from '../order.ts';
import { certificateOrders } from '../orders/certificates.ts';
import type { State } from '../state.ts';
import { type Column, fitting, type Room } from './columns.ts';
import { listScreen } from './list.ts';
import { conditionColors, utcOf } from './signs.ts';

/** Days before its end at which a certificate should have been renewed. */
const lateDays = 14;

const domainsOf = ({ domains }: Certificate) => domains.join(' ');
const withRow =
  (order: (row: Certificate) => Order) =>
  (row: Certificate | undefined): Intent =>
    row ? { kind: 'order', order: order(row) } : { kind: 'say', text: 'No certificate is marked.' };

/** Whether the edge shows the certificate of the file. */
function servedOf({ serial, servedSerial }: Certificate): { readonly text: string; readonly condition: Condition } {
  if (servedSerial === null) return { text: 'no answer', condition: 'inconclusive' };
  return servedSerial === serial ? { text: 'yes', condition: 'pass' } : { text: 'another', condition: 'fail' };
}

function leftOf({ daysLeft }: Certificate): Condition {
  if (daysLeft === null) return 'inconclusive';
  return daysLeft <= 0 ? 'fail' : daysLeft < lateDays ? 'inconclusive' : 'pass';
}

/** The worst of its end, of what is served, and of the last attempt. */
function conditionOf(row: Certificate): Condition {
  const all = [leftOf(row), servedOf(row).condition, row.lastError === null ? 'pass' : 'inconclusive'];
  return all.includes('fail') ? 'fail' : all.includes('inconclusive') ? 'inconclusive' : 'pass';
}

export const certificatesScreen = listScreen<Certificate>({
  name: 'certificates',
  title: 'Certificates',
  command: 'certs',
  key: '8',
  feed: 'certificates',
  noun: 'certificate',
  rows: ({ documents }) => documents.certificates?.data,
  id: ({ set }) => set,
  condition: conditionOf,
  columns: columnsOf,
  details: detailsOf,
  empty: { text: 'No certificate is managed; appliance.yaml says which ones:', command: 'appliance config show' },
  actions: [
    {
      name: 'renew',
      keys: ['r'],
      help: 'renew the marked certificate and put it in force',
      hint: 'renew',
      changes: true,
      act: withRow(certificateOrders.renew),
    },
    {
      name: 'issue',
      keys: ['i'],
      help: 'ask for the marked certificate anew, as appliance.yaml describes it',
      hint: 'issue',
      changes: true,
      act: withRow(({ set }) => certificateOrders.issue(set)),
    },
    {
      name: 'dry-run',
      keys: ['d'],
      help: 'rehearse an attempt for the marked certificate; nothing is kept',
      hint: 'dry run',
      changes: true,
      act: withRow(({ set }) => certificateOrders.dryRun(set)),
    },
  ],
});

function columnsOf(rows: readonly Certificate[], _: State, glyphs: Glyphs): readonly Column<Certificate>[] {
  return [
    { title: 'CERTIFICATE', width: fitting(rows, ({ set }) => set, 11, 30), text: ({ set }) => set },
    {
      title: 'DAYS',
      width: 5,
      align: 'right',
      text: ({ daysLeft }) => (daysLeft === null ? glyphs.none : String(Math.floor(daysLeft))),
      color: (row) => conditionColors[leftOf(row)],
    },
    {
      title: 'SERVED',
      width: 9,
      text: (row) => servedOf(row).text,
      color: (row) => conditionColors[servedOf(row).condition],
    },
    { title: 'DOMAINS', width: fitting(rows, domainsOf, 7, 40), text: domainsOf },
    {
      title: 'ISSUER',
      width: fitting(rows, ({ issuer }) => issuer ?? '', 6, 24),
      text: ({ issuer }) => oneLine(issuer ?? glyphs.none),
    },
    { title: 'KIND', width: 11, text: ({ kind }) => kind ?? glyphs.none },
    { title: 'ENDS (UTC)', width: 10, text: ({ notAfter }) => notAfter?.slice(0, 10) ?? glyphs.none },
    { title: 'RENEWS', width: 10, text: ({ renewAfter }) => renewAfter?.slice(0, 10) ?? glyphs.none },
  ];
}

function detailsOf(row: Certificate, { now }: State, { width }: Room, glyphs: Glyphs): readonly Line[] {
  const { set, serial, servedSerial, notBefore, notAfter, renewAfter, due } = row;
  const served = servedOf(row);
  return [
    named('Marked', [bold(set), dim(`  ${domainsOf(row)}`)], width, glyphs),
    named('Issuer', [{ text: issuerOf(row) }], width, glyphs),
    named(
      'Valid',
      [
        {
          text:
            notAfter === null
              ? 'there is none yet'
              : `${notBefore === null ? '?' : utcOf(notBefore)} to ${utcOf(notAfter)}`,
        },
      ],
      width,
      glyphs,
    ),
    named(
      'Served',
      [
        {
          text: `${glyphs[served.condition]} ${
            servedSerial === null
              ? 'no handshake with the edge'
              : servedSerial === serial
                ? 'the one of the file'
                : `another one: ${servedSerial}`
          }`,
          color: conditionColors[served.condition],
        },
        dim(serial === null ? '' : `  serial ${serial}`),
      ],
      width,
      glyphs,
    ),
    named(
      'Renewal',
      [{ text: due ?? (renewAfter === null ? 'nobody here renews it' : `by itself after ${utcOf(renewAfter)}`) }],
      width,
      glyphs,
    ),
    ...attemptLines(row, now, width, glyphs),
  ];
}

/** `Example CA (acme)`; the kind is not said twice. */
function issuerOf({ issuer, kind }: Certificate): string {
  const name = oneLine(issuer ?? 'none yet');
  return kind === null || name.includes(kind) ? name : `${name} (${kind})`;
}

function attemptLines(row: Certificate, now: number, width: number, glyphs: Glyphs): readonly Line[] {
  const { lastAttempt, lastError, nextAttempt } = row;
  if (lastAttempt === null) return [];
  return [
    named(
      'Attempt',
      [
        { text: `${lastError === null ? glyphs.pass : glyphs.fail} ${age(lastAttempt, now)} ago` },
        ...(lastError === null ? [] : [{ text: `: ${oneLine(lastError)}`, color: 'red' }]),
      ],
      width,
      glyphs,
    ),
    ...(nextAttempt === null
      ? []
      : [named('', [dim(`the next one by itself after ${utcOf(nextAttempt)}`)], width, glyphs)]),
  ];
}
