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

export async function verify(_: Call<'audit verify'>, session: Session): Promise<number> {
  const proof = await (await session.client()).ask('auditVerify', {}, session.signal);
  const text = {
    pass: `${count(proof.entries, 'entry', 'entries')}, the chain is unbroken`,
    fail: `the chain is broken at entry ${proof.brokenAt}: it was changed, or something before it was removed`,
    inconclusive: 'there is no entry yet to prove anything with',
  }[proof.verdict];
  session.answer(proof, () => [`${mark(session.out, proof.verdict)} ${text}`]);
  return exitCodeOfVerdict(proof.verdict);
}

function who({ actor }: AuditEntry): string {
  return `${accountOf(actor)}${actor.ssh === null ? '' : ` from ${actor.ssh}`}`;
}
