import { accountOf, type Condition } from '../../api/describe.ts';
import type { AuditEntry } from '../../api/schema.ts';
import { oneLine } from '../../lib/text.ts';
import { bold, dim, type Glyphs, type Line, named } from '../line.ts';
import type { Intent } from '../order.ts';
import { alertOrders } from '../orders/alerts.ts';
import type { State } from '../state.ts';
import { type Column, fitting, type Room } from './columns.ts';
import { listScreen } from './list.ts';
import { conditionColors } from './signs.ts';

const whatOf = ({ action, target }: AuditEntry) => oneLine(target === null ? action : `${action} ${target}`);
const whoOf = ({ actor }: AuditEntry) => oneLine(accountOf(actor));
const fromOf = ({ actor }: AuditEntry) => actor.ssh ?? 'this host';

/** Results are words of each action; those that mean something bad, or nothing final, are set apart. */
function conditionOf({ result }: AuditEntry): Condition {
  if (/fail|rolled|refused|manual/.test(result)) return 'fail';
  return result === 'begun' || result === 'running' ? 'running' : result === 'inconclusive' ? 'inconclusive' : 'pass';
}

export const auditScreen = listScreen<AuditEntry>({
  name: 'audit',
  title: 'Audit',
  command: 'audit',
  key: '0',
  feed: 'audit',
  noun: 'entry',
  nouns: 'entries',
  rows: ({ documents: { audit } }) => audit?.data,
  id: ({ seq }) => String(seq),
  condition: conditionOf,
  columns: columnsOf,
  details: detailsOf,
  empty: { text: 'Nobody has done anything yet.' },
  actions: [
    {
      name: 'verify',
      keys: ['v'],
      help: 'prove that the audit log is complete and unchanged',
      hint: 'verify',
      changes: false,
      act: (): Intent => ({ kind: 'order', order: alertOrders.verifyAudit() }),
    },
  ],
});

function columnsOf(rows: readonly AuditEntry[], _: State, _glyphs: Glyphs): readonly Column<AuditEntry>[] {
  return [
    { title: 'WHAT', width: fitting(rows, whatOf, 20, 40), text: whatOf },
    {
      title: 'RESULT',
      width: fitting(rows, ({ result }) => result, 6, 14),
      text: ({ result }) => oneLine(result),
      color: (row) => conditionColors[conditionOf(row)],
    },
    { title: 'WHO', width: fitting(rows, whoOf, 3, 16), text: whoOf },
    { title: 'TIME (UTC)', width: 19, text: ({ time }) => time.slice(0, 19).replace('T', ' ') },
    { title: 'FROM', width: fitting(rows, fromOf, 4, 39), text: fromOf },
    { title: 'HASH', width: 12, text: ({ hash }) => hash.slice(0, 12) },
  ];
}

function detailsOf(row: AuditEntry, _: State, { width }: Room, glyphs: Glyphs): readonly Line[] {
  return [
    named('Marked', [bold(whatOf(row)), dim(`  entry ${row.seq}`)], width, glyphs),
    named('By', [{ text: `${whoOf(row)} (uid ${row.actor.uid}) from ${fromOf(row)}` }], width, glyphs),
    named('Hash', [dim(row.hash)], width, glyphs),
  ];
}
