import { checkGroupNames } from '../../api/check-groups.ts';
import type { CheckReport, CheckShape } from '../../api/checks.ts';
import { seconds } from '../../api/describe.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { didYouMean } from '../../lib/near.ts';
import { count, wrap } from '../../lib/text.ts';
import type { Call } from '../catalog.ts';
import { exitCodeOfVerdict } from '../exit.ts';
import { type Look, mark, paint, speak } from '../output/look.ts';
import type { Session } from '../session.ts';

type Group = CheckShape['group'];

export async function check(call: Call<'check'>, session: Session): Promise<number> {
  const { policy, tag, on } = call.options;
  const input = {
    groups: groupsOf(call.args.group ?? 'all'),
    ...(policy === undefined ? {} : { policy }),
    ...(tag === undefined ? {} : { tag }),
    ...(isPlace(on) ? { on } : {}),
  };
  let report: CheckReport | undefined;
  for await (const event of (await session.client()).stream('check', input, session.signal)) {
    if (event.event === 'report') report = event.report;
    else if (event.event === 'progress') session.note(event.text);
  }
  session.signal.throwIfAborted();
  if (!report)
    throw new ApplianceError('agent_unreachable', 'the agent ended before the checks did', {
      hint: 'run the command again',
    });
  const { verdict } = report;
  const seen = report;
  session.answer(seen, () => reportLines(seen, session.out, session.globals.verbose));
  return exitCodeOfVerdict(verdict);
}

const isPlace = (text: string | undefined): text is 'edge' | 'blue' | 'green' =>
  text === 'edge' || text === 'blue' || text === 'green';

/** @throws ApplianceError `usage` with a near match */
function groupsOf(name: string): Group[] {
  const known = checkGroupNames.find((group) => group === name);
  if (known) return [known];
  if (name === 'all') return [...checkGroupNames];
  const names = [...checkGroupNames, 'all'];
  throw new ApplianceError('usage', `there is no checklist "${name}"`, {
    left: 'nothing was checked',
    hint: didYouMean(name, names) ?? `there are ${names.join(', ')}`,
  });
}

/** Columns of a report where nobody says how wide the screen is. */
const usualWidth = 80;

function reportLines(
  { checks, verdict, policy, release, seconds: took }: CheckReport,
  look: Look,
  verbose: boolean,
): string[] {
  const width = Math.min(look.width, usualWidth);
  const groups = checkGroupNames.filter((name) => checks.some(({ group }) => group === name));
  const all = (wanted: CheckShape['verdict']) => checks.filter((one) => one.verdict === wanted).length;
  const [passed, failed, open] = [all('pass'), all('fail'), all('inconclusive')];
  const about = [
    release === null ? undefined : `release ${release}`,
    policy === null ? 'no policy (--policy NAME)' : `policy ${policy}`,
  ];
  return [
    ...groups.flatMap((group) => [
      paint(look, 'bold', group),
      ...checks.filter((one) => one.group === group).flatMap((one) => checkLines(one, look, width, verbose)),
      '',
    ]),
    `${mark(look, verdict)} ${verdict}: ${passed} passed, ${failed} failed, ${open} inconclusive in ${seconds(took)}`,
    ...wrap(about.filter((part) => part !== undefined).join(', '), width - 2).map((line) =>
      paint(look, 'dim', `  ${line}`),
    ),
    ...(checks.length === 0 ? ['  nothing was checked'] : []),
  ];
}

/** A check that passes takes a line or two; one that does not also says what was expected and what to do. */
function checkLines(check: CheckShape, look: Look, width: number, verbose: boolean): string[] {
  const { verdict, about, observed, expected, requirement, hint, samples, needed } = check;
  const body = (text: string, first: string) =>
    wrap(speak(look, text), width - 6).map(
      (line, index) => `    ${index === 0 ? first : ' '.repeat(first.length)}${line}`,
    );
  const ids = requirement === '' ? '' : ` (${requirement})`;
  const [title = '', ...more] = wrap(
    speak(look, verdict === 'pass' && !verbose ? `${about}: ${observed}` : `${about}${ids}`),
    width - 4,
  );
  const numbers = needed === undefined ? '' : `${count(samples ?? 0, 'sample')}, ${needed} more needed`;
  return [
    `  ${mark(look, verdict)} ${title}`,
    ...more.map((line) => `    ${line}`),
    ...(verdict === 'pass' && !verbose
      ? []
      : [
          ...body(observed, ''),
          ...(verdict === 'pass' && !verbose
            ? []
            : body(`expected: ${expected}`, '').map((line) => paint(look, 'dim', line))),
          ...(numbers === '' ? [] : body(numbers, '')),
          ...(hint === undefined ? [] : body(hint, look.unicode ? '→ ' : '-> ')),
          ...(verbose
            ? body(`${check.id}, ${seconds(check.seconds)}`, '').map((line) => paint(look, 'dim', line))
            : []),
        ]),
  ];
}
