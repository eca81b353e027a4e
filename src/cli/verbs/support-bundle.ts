import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { seconds } from '../../api/describe.ts';
import type { SupportEvent, SupportReport } from '../../api/support.ts';
import { ApplianceError, exitCodes } from '../../lib/errors.ts';
import { count } from '../../lib/text.ts';
import { formatBytes } from '../../lib/units.ts';
import type { Call } from '../catalog.ts';
import { mark } from '../output/look.ts';
import { save } from '../save.ts';
import type { Session } from '../session.ts';
import { orHere } from './doctor.ts';

export async function supportBundle(call: Call<'support-bundle'>, session: Session): Promise<number> {
  const time = new Date().toISOString().replace(/[-:]|\.\d+/g, '');
  const path = resolve(call.options.output ?? `appliance-support-${time}-${randomBytes(2).toString('hex')}.tar.gz`);
  const { report, bytes } = await orHere(session, (client, agentProblem) =>
    written(path, client.stream('supportBundle', { agentProblem }, session.signal), session),
  );
  session.answer({ file: path, bytes, ...report }, () => lines(path, bytes, report, session));
  return exitCodes.done;
}

/**
 * Writes the pieces of a bundle into a file of mode 0600, which is there whole or not at all.
 * @throws ApplianceError `disk_full`, `not_permitted`, `usage` when the file exists
 */
async function written(
  path: string,
  events: AsyncIterable<SupportEvent>,
  session: Session,
): Promise<{ readonly report: SupportReport; readonly bytes: number }> {
  if (existsSync(path))
    throw new ApplianceError('usage', `${path} exists`, {
      left: 'it was left as it is',
      hint: 'name another file: --output FILE',
    });
  let report: SupportReport | undefined;
  let bytes = 0;
  return save(path, 0o600, async (append) => {
    for await (const event of events) {
      if (event.event === 'report') report = event.report;
      else if (event.event === 'progress') session.note(event.text);
      else {
        const piece = Buffer.from(event.data, 'base64');
        await append(piece);
        bytes += piece.length;
      }
    }
    session.signal.throwIfAborted();
    if (report) return { report, bytes };
    throw new ApplianceError('agent_unreachable', 'the agent ended before the bundle did', {
      left: 'no file was left',
      hint: 'run the command again',
    });
  });
}

function lines(path: string, bytes: number, report: SupportReport, session: Session): string[] {
  const { files, redacted, notes, seconds: took } = report;
  const lost = files.filter(({ missing }) => missing !== null);
  const taken = Object.entries(redacted);
  const total = taken.reduce((sum, [, times]) => sum + times, 0);
  return [
    `${mark(session.out, 'pass')} ${path}`,
    `  ${count(files.length - lost.length, 'whole file')}, ${formatBytes(bytes)}, ${seconds(took)}; readable by you alone`,
    `  ${count(total, 'secret')} taken out${total === 0 ? '' : ':'}`,
    ...taken.map(([kind, times]) => `    ${times} × ${kind}`),
    ...lost.map(({ path: name, missing }) => `  ${mark(session.out, 'inconclusive')} ${name}: ${missing}`),
    ...notes.map((note) => `  ${mark(session.out, 'inconclusive')} ${note}`),
    '  look through it before you send it: report.json in it says what was taken out of which file',
  ];
}
