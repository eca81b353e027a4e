import type { ReleaseReport } from '../../api/report.ts';
import { exitCodes } from '../../lib/errors.ts';
import type { Call } from '../catalog.ts';
import { mark } from '../output/look.ts';
import { save } from '../save.ts';
import type { Session } from '../session.ts';

/** Tells the whole story of a release. */
export async function report(call: Call<'report'>, session: Session): Promise<number> {
  const { format = 'md', output } = call.options;
  const told = await (await session.client()).ask('report', { tag: call.args.release }, session.signal);
  if (output === undefined) {
    if (session.globals.json || format === 'json') session.document(told);
    else session.print((await written(told, format)).trimEnd());
    return exitCodes.done;
  }
  const text = await written(told, format);
  await save(output, 0o644, (append) => append(text));
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
