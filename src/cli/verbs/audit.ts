import { accountOf } from '../../api/describe.ts';
import type { AuditEntry } from '../../api/schema.ts';
import { ApplianceError, exitCodes } from '../../lib/errors.ts';
import { count } from '../../lib/text.ts';
import type { Call } from '../catalog.ts';
import { exitCodeOfVerdict } from '../exit.ts';
import { mark } from '../output/look.ts';
import { table } from '../output/table.ts';
import type { Session } from '../session.ts';
import { checkedTime } from './logs.ts';

export async function audit(call: Call<'audit'>, session: Session): Promise<number> {
  const { since, limit } = call.options;
  if (limit !== undefined && !/^[1-9]\d{0,8}$/.test(limit)) {
    throw new ApplianceError('usage', `--limit needs a number of entries, not "${limit}"`);
  }
  const entries = await (await session.client()).ask(
    'audit',
    {
      ...(since === undefined ? {} : { since: checkedTime(since) }),
      ...(limit === undefined ? {} : { limit: Number(limit) }),
    },
    session.signal,
  );
  session.answer(entries, () =>
    entries.length === 0
      ? ['nothing was recorded']
      : table(
          [
            { title: '#', value: (row) => String(row.seq), align: 'right', dropAt: 2 },
            { title: 'TIME', value: (row) => row.time },
            { title: 'WHO', value: who, least: 8 },
            { title: 'ACTION', value: (row) => row.action, least: 8 },
            { title: 'TARGET', value: (row) => row.target ?? '–', least: 8 },
            { title: 'RESULT', value: (row) => row.result, least: 8 },
            { title: 'HASH', value: (row) => row.hash.slice(0, 12), dropAt: 1 },
          ],
          entries,
          session.out,
        ),
  );
  return exitCodes.done;
}

export async function verify(call: Call<'audit verify'>, session: Session): Promise<number> {
  const head = headOf(call.options.head);
  const proof = await (await session.client()).ask('auditVerify', head ? { head } : {}, session.signal);
  const archives = proof.archives === 0 ? '' : `, ${count(proof.archives, 'file')} of earlier ones among them`;
  const text = proof.problem ?? `${count(proof.entries, 'entry', 'entries')}${archives}, the chain is unbroken`;
  session.answer(proof, () => [
    `${mark(session.out, proof.verdict)} ${text}`,
    ...(proof.head ? [`  head ${proof.head.seq}:${proof.head.hash}`] : []),
  ]);
  return exitCodeOfVerdict(proof.verdict);
}

function who({ actor }: AuditEntry): string {
  return `${accountOf(actor)}${actor.ssh === null ? '' : ` from ${actor.ssh}`}`;
}

/** `120:3fa1…`, as a report or an earlier proof shows it. @throws ApplianceError `usage` */
function headOf(text: string | undefined): { seq: number; hash: string } | undefined {
  if (text === undefined) return undefined;
  const [, seq, hash] = /^([1-9]\d{0,14}):([0-9a-f]{64})$/.exec(text.trim()) ?? [];
  if (seq !== undefined && hash !== undefined) return { seq: Number(seq), hash };
  throw new ApplianceError('usage', `--head needs a number, a colon and 64 hexadecimal digits, not "${text}"`, {
    hint: 'a report and audit verify show it',
  });
}
