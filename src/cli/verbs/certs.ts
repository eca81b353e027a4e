import { resolve } from 'node:path';
import type { Certificate } from '../../api/certificates.ts';
import { age } from '../../api/describe.ts';
import { ApplianceError, exitCodes } from '../../lib/errors.ts';
import type { Call } from '../catalog.ts';
import type { Style } from '../output/look.ts';
import { table } from '../output/table.ts';
import type { Session } from '../session.ts';
import { operate, waitOf } from './operate.ts';

export async function status(_: Call<'certs'> | Call<'certs status'>, session: Session): Promise<number> {
  const all = await (await session.client()).ask('certs', {}, session.signal);
  session.answer(all, () => [
    ...table(
      [
        { title: 'CERTIFICATE', value: ({ set }) => set },
        { title: 'DOMAINS', value: ({ domains }) => domains.join(' '), least: 12 },
        { title: 'ISSUER', value: ({ issuer }) => issuer ?? '–', least: 8, dropAt: 2 },
        { title: 'ENDS', value: endText, style: endStyle },
        { title: 'RENEW AFTER', value: ({ renewAfter }) => renewAfter?.slice(0, 10) ?? '–', dropAt: 1 },
        { title: 'SERVED', value: servedText, style: servedStyle },
      ],
      all,
      session.out,
    ),
    ...all.flatMap(({ set, lastError, lastAttempt, nextAttempt }) =>
      lastError === null
        ? []
        : [
            `${set}: the last attempt${lastAttempt === null ? '' : ` (${age(lastAttempt, Date.now())} ago)`} failed: ${lastError}`,
            ...(nextAttempt === null ? [] : [`${set}: the next one is made by itself after ${nextAttempt}`]),
          ],
    ),
  ]);
  return exitCodes.done;
}

export function issue(call: Call<'certs issue'>, session: Session): Promise<number> {
  const { certificate } = call.args;
  const { detach, wait } = call.options;
  const input = { ...(certificate === undefined ? {} : { set: certificate }), wait: waitOf(wait) };
  return operate(session, { route: 'certsIssue', title: titleOf('certs issue', certificate), detach, input });
}

/** One operation for each that is due, so that one that fails keeps no other from being renewed. */
export async function renew(call: Call<'certs renew'>, session: Session): Promise<number> {
  const { certificate } = call.args;
  const { force, wait } = call.options;
  const all = await (await session.client()).ask('certs', {}, session.signal);
  const named = all.filter(
    ({ set, domains }) => certificate === undefined || set === certificate || domains.includes(certificate),
  );
  if (named.length === 0)
    throw new ApplianceError('certificate_not_found', `there is no certificate ${certificate}`, {
      hint: `there is ${all.map(({ set }) => set).join(', ')}`,
    });
  const due = named.filter((one) => force || one.due !== null);
  if (due.length === 0) {
    session.answer({ renewed: [] }, () => named.map(notDueText));
    return exitCodes.done;
  }
  let worst: number = exitCodes.done;
  for (const { set } of due) {
    const input = { set, wait: waitOf(wait) };
    const exit = await operate(session, { route: 'certsRenew', title: titleOf('certs renew', set), input });
    worst = Math.max(worst, exit);
  }
  return worst;
}

export function importPair(call: Call<'certs import'>, session: Session): Promise<number> {
  const { chain, key } = call.args;
  const { set, detach, wait } = call.options;
  const input = { chain: resolve(chain), key: resolve(key), ...(set === undefined ? {} : { set }), wait: waitOf(wait) };
  return operate(session, { route: 'certsImport', title: titleOf('certs import', set), detach, input });
}

export function dryRun(call: Call<'certs dry-run'>, session: Session): Promise<number> {
  const { certificate } = call.args;
  const { detach, wait } = call.options;
  const input = { ...(certificate === undefined ? {} : { set: certificate }), wait: waitOf(wait) };
  return operate(session, { route: 'certsDryRun', title: titleOf('certs dry-run', certificate), detach, input });
}

function titleOf(verb: string, set: string | undefined): string {
  return set === undefined ? verb : `${verb} ${set}`;
}

function notDueText({ set, renewAfter, notAfter }: Certificate): string {
  if (renewAfter !== null) return `${set} is not due before ${renewAfter}; --force renews it all the same`;
  return notAfter === null ? `there is no certificate ${set} yet` : `nobody here renews ${set}; it ends at ${notAfter}`;
}

function endText({ notAfter, daysLeft }: Certificate): string {
  return notAfter === null ? '–' : `${notAfter.slice(0, 10)} (${daysLeft} d)`;
}

function endStyle({ daysLeft }: Certificate): Style | undefined {
  if (daysLeft === null) return undefined;
  if (daysLeft < 3) return 'red';
  return daysLeft < 10 ? 'yellow' : 'green';
}

function servedText({ serial, servedSerial }: Certificate): string {
  if (servedSerial === null) return 'no answer';
  return servedSerial === serial ? 'yes' : 'another one';
}

function servedStyle({ serial, servedSerial }: Certificate): Style | undefined {
  if (servedSerial === null) return 'yellow';
  return servedSerial === serial ? 'green' : 'red';
}
