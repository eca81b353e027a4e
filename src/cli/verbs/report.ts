import type { ReleaseReport } from '../../api/report.ts';
import { ApplianceError, asApplianceError, exitCodes, messageOf } from '../../lib/errors.ts';
import type { Call } from '../catalog.ts';
import { mark } from '../output/look.ts';
import type { Session } from '../session.ts';

const { randomBytes } = process.getBuiltinModule('node:crypto');
const { open, rename, rm } = process.getBuiltinModule('node:fs/promises');

/** Tells the whole story of a release. */
export async function report(call: Call<'report'>, session: Session): Promise<number> {
  const { format = 'md', output } = call.options;
  const told = await (await session.client()).ask('report', { tag: call.args.release }, session.signal);
  if (output === undefined) {
    if (session.globals.json || format === 'json') session.document(told);
    else session.print((await written(told, format)).trimEnd());
    return exitCodes.done;
  }
  await save(output, await written(told, format));
  session.answer({ file: output, format, verdict: told.verdict }, () => [
    `${mark(session.out, 'pass')} ${output}: ${told.release.tag} is ${told.verdict}, ${told.open.length} open`,
  ]);
  return exitCodes.done;
}

async function written(told: ReleaseReport, format: string): Promise<string> {
  if (format === 'json') return `${JSON.stringify(told, null, 2)}\n`;
  if (format === 'html') return (await import('../report/html.tsx')).reportHtml(told);
  return (await import('../report/markdown.ts')).reportMarkdown(told);
}

/** A report is there as a whole or not at all; one that was there before stays until then. */
async function save(path: string, text: string): Promise<void> {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    const file = await open(temporary, 'wx', 0o644);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    const told = asApplianceError(error);
    if (told.code !== 'internal') throw told;
    throw new ApplianceError('usage', `${path} cannot be written: ${messageOf(error)}`, {
      left: 'what was there before is untouched',
      hint: 'name a file in a directory that you may write to: --output FILE',
      cause: error,
    });
  }
}
