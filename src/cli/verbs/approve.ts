import type { Approvals } from '../../api/people.ts';
import { ApplianceError, exitCodes } from '../../lib/errors.ts';
import type { Call } from '../catalog.ts';
import { exitCodeOfVerdict } from '../exit.ts';
import { type Look, mark, paint, speak } from '../output/look.ts';
import { table } from '../output/table.ts';
import type { Session } from '../session.ts';

/** Approves a release in a role, takes that back, or shows who has approved. */
export async function approve(call: Call<'approve'>, session: Session): Promise<number> {
  const { role, withdraw, digest, comment, policy } = call.options;
  const client = await session.client();
  const release = {
    tag: call.args.tag,
    acceptMovedTag: call.options['accept-moved-tag'],
    ...(policy === undefined ? {} : { policy }),
  };
  if (role === undefined) {
    if (withdraw || digest !== undefined || comment !== undefined) {
      throw new ApplianceError('usage', 'name the role: --role ROLE', {
        left: 'nothing was recorded',
        hint: `appliance approve ${call.args.tag} lists the roles`,
      });
    }
    const approvals = await client.ask('approvals', release, session.signal);
    session.answer(approvals, () => approvalLines(approvals, session.out));
    return exitCodeOfVerdict(approvals.verdict);
  }
  const approvals = await client.ask(
    'approve',
    {
      ...release,
      role,
      withdraw,
      ...(digest === undefined ? {} : { digest }),
      ...(comment === undefined ? {} : { comment }),
    },
    session.signal,
  );
  session.answer(approvals, () => [
    speak(
      session.out,
      `${mark(session.out, 'pass')} ${approvals.release} is ${withdraw ? 'no longer ' : ''}approved as ${role}`,
    ),
    '',
    ...approvalLines(approvals, session.out),
  ]);
  return exitCodes.done;
}

/** Who has approved a release in which role, and who is missing. */
export function approvalLines({ release, digest, policies, approvals }: Approvals, look: Look): string[] {
  const heading = `${paint(look, 'bold', release)}  ${digest}`;
  if (approvals.length === 0) return [heading, `  ${nobodyAsks(policies)}`];
  return [heading, ...approvalTable(approvals, look)];
}

/** The roles of a release, one line each. */
export function approvalTable(approvals: Approvals['approvals'], look: Look): string[] {
  return table(
    [
      {
        title: '',
        value: ({ given }) => mark({ ...look, colour: false }, given ? 'pass' : 'inconclusive'),
        style: ({ given }) => (given ? 'green' : 'yellow'),
      },
      { title: 'ROLE', value: ({ role }) => role },
      { title: 'APPROVED BY', value: ({ given }) => given?.user ?? '–', least: 8 },
      { title: 'AT', value: ({ given }) => given?.time ?? '–', dropAt: 2 },
      { title: 'FROM', value: ({ given }) => (given ? (given.ssh ?? 'this host') : '–'), dropAt: 3 },
      { title: 'ASKED BY', value: ({ requirement }) => requirement, dropAt: 4 },
      {
        title: 'REMARK',
        value: ({ given, holders }) =>
          given?.comment ?? (given || !holders ? '' : `to be asked: ${holders.join(', ')}`),
        least: 10,
        dropAt: 1,
      },
    ],
    approvals,
    look,
    2,
  );
}

function nobodyAsks(policies: readonly string[]): string {
  return policies.length === 0
    ? 'deploys follow no policy, so nobody is asked'
    : `the policy ${policies.join(', ')} asks nobody`;
}
