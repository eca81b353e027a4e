import { changeLine, seconds } from '../../api/describe.ts';
import type { ReleaseReport } from '../../api/report.ts';
import { oneLine } from '../../lib/text.ts';
import { formatBytes } from '../../lib/units.ts';
import { answerWords, chapterTitle, passed, resultWords, sentenceOf, when } from './words.ts';

type Cell = string | number | null;

/** A report as Markdown. Text of programs and people cannot break out of its place. Pure. */
export function reportMarkdown(report: ReleaseReport): string {
  const { release, appliance, approvals, signOff, changes, audit } = report;
  return `${[
    `# ${text(appliance.name)} ${text(release.tag)}: release report`,
    `**${report.verdict}** – ${text(sentenceOf(report))}`,
    list([
      `release ${code(release.id)}, digest ${code(release.digest)}`,
      `commit ${code(release.commit)}`,
      `${release.state}${release.colour === null ? '' : ` on ${release.colour}`}`,
      release.deployedAt === null
        ? 'never deployed'
        : `deployed ${when(release.deployedAt)} UTC by ${text(release.actor)}`,
      `written ${when(report.generatedAt)} UTC by appliance ${text(appliance.version)}`,
    ]),
    ...section(
      'Open points',
      table(
        ['', 'about', 'what', 'next'],
        report.open.map(({ about, text: what, verdict, hint }) => [verdict, about, what, hint]),
        'Nothing is open.',
      ),
    ),
    ...section('Approvals', approvals.approvals.length === 0 ? 'No policy asks for any.' : approvalTable(report)),
    ...section('Questions and sign-off', signOff === null ? 'The release was never in service.' : signOffText(signOff)),
    ...section(
      'What changed',
      changes === null
        ? 'There was no release before it.'
        : changes.changes.length === 0
          ? `Nothing against ${text(changes.from)}.`
          : `Against ${text(changes.from)}:\n\n${list(changes.changes.map((change) => code(changeLine(change))))}`,
    ),
    ...report.operations.flatMap(chapter),
    ...section(
      'Looks after it went live',
      table(
        ['look', 'due', 'taken', 'verdict', 'checks', 'what did not pass'],
        report.followUps.map(({ look, due, at, verdict, checks }) => [
          look,
          when(due),
          when(at),
          verdict ?? 'to come',
          at === null ? '' : passed(checks),
          checks
            .filter((check) => check.verdict !== 'pass')
            .map(({ id, observed }) => `${id}: ${observed}`)
            .join('; '),
        ]),
        'None is due.',
      ),
    ),
    ...section(
      'Backups and drills',
      table(
        ['snapshot', 'kind', 'begun', 'state', 'size', 'took'],
        report.backups.map(({ id, kind, time, state, bytes, seconds: took }) => [
          id,
          kind,
          when(time),
          state,
          bytes === null ? '–' : formatBytes(bytes),
          took === null ? '–' : seconds(took),
        ]),
        'There is none.',
      ),
      table(
        ['restore of', 'when', 'verdict', 'took', 'checks'],
        report.drills.map(({ snapshot, time, verdict, seconds: took, findings }) => [
          snapshot,
          when(time),
          verdict,
          seconds(took),
          passed(findings),
        ]),
        'No restore was tried.',
      ),
    ),
    ...section(
      'Certificates',
      table(
        ['names', 'issuer', 'until', 'days left'],
        report.certificates.map(({ domains, issuer, notAfter, daysLeft }) => [
          domains.join(', '),
          issuer,
          when(notAfter),
          daysLeft,
        ]),
        'There is none.',
      ),
    ),
    ...section(
      'Alerts of the agent meanwhile',
      table(
        ['alert', 'severity', 'since', 'until', 'what'],
        report.alerts.map(({ name, severity, since, end, summary }) => [
          name,
          severity,
          when(since),
          end === null ? 'goes on' : when(end),
          summary,
        ]),
        'There was none.',
      ),
    ),
    ...section('What it consists of', imageTable(report)),
    ...section(
      'Audit',
      table(
        ['#', 'when', 'who', 'did', 'result'],
        audit.entries
          .toReversed()
          .map(({ seq, time, actor, action, result }) => [
            seq,
            when(time),
            `${actor.login?.user ?? actor.user}${actor.ssh === null ? '' : ` from ${actor.ssh}`}`,
            action,
            result,
          ]),
        'Nothing is recorded.',
      ),
      `Chain: ${audit.verdict}${audit.head === null ? '' : `; its head is ${code(`${audit.head.seq}:${audit.head.hash}`)}`}.`,
    ),
  ].join('\n\n')}\n`;
}

function approvalTable({ approvals }: ReleaseReport): string {
  return table(
    ['role', 'asked by', 'approved by', 'when', 'from', 'remark'],
    approvals.approvals.map(({ title, requirement, given }) => [
      title,
      requirement,
      given?.user ?? 'missing',
      when(given?.time ?? null),
      given ? (given.ssh ?? 'this host') : null,
      given?.comment ?? null,
    ]),
    '',
  );
}

function signOffText({ questions, signOff, deployed }: NonNullable<ReleaseReport['signOff']>): string {
  const { decision } = signOff;
  return [
    table(
      ['question', '', 'answer', 'by', 'when'],
      questions.map(({ id, text: question, answer, open }) => [
        id,
        question,
        answer === null ? 'open' : `${answerWords(answer.answer, answer.comment)}${open ? ' (too long ago)' : ''}`,
        answer?.user ?? null,
        when(answer?.time ?? null),
      ]),
      'No policy asks people anything.',
    ),
    table(
      ['deployer', 'deployed', 'verifier', 'date and time', 'accepted', 'remark'],
      [
        [
          deployed.user,
          when(deployed.time),
          decision?.user ?? null,
          when(decision?.time ?? null),
          decision === null ? 'open' : decision.accepted ? 'yes' : 'no',
          decision?.comment ?? null,
        ],
      ],
      '',
    ),
  ].join('\n\n');
}

function chapter(operation: ReleaseReport['operations'][number]): string[] {
  const { plan, verdicts, stages, error } = operation;
  return section(
    chapterTitle(operation),
    `${text(resultWords(operation.result))} in ${seconds(operation.seconds)}, begun ${when(operation.startedAt)} UTC by ${text(operation.actor)}${operation.shiftSeconds === null ? '' : `; traffic was shifted after ${seconds(operation.shiftSeconds)}`}.`,
    ...(error ? [`> ${text(error.message)}`] : []),
    table(
      ['#', 'step', 'state', 'took', 'what was done', 'because'],
      plan.map(({ title, state, seconds: took, detail, cause }, index) => [
        index + 1,
        title,
        state,
        seconds(took),
        detail,
        cause,
      ]),
      'Nothing was done.',
    ),
    ...(stages.length === 0
      ? []
      : [
          table(
            ['share', 'held', 'outcome', 'let through by'],
            stages.map(({ weight, kind, secondsHeld, outcome, promotedBy }) => [
              kind === 'shadow' ? 'copies' : `${weight} %${kind === 'bake' ? ', watched' : ''}`,
              seconds(secondsHeld),
              outcome ?? 'open',
              promotedBy,
            ]),
            '',
          ),
        ]),
    ...(verdicts.length === 0
      ? []
      : [
          table(
            ['verdict', 'check', 'seen', 'expected', 'samples'],
            verdicts.map(({ id, verdict, observed, expected, samples }) => [
              verdict,
              id,
              observed,
              expected ?? null,
              samples ?? null,
            ]),
            '',
          ),
        ]),
  );
}

function imageTable({ release }: ReleaseReport): string {
  return table(
    ['service', 'image', 'digest'],
    release.images.map(({ service, ref, digest }) => [service, ref, digest]),
    'Its images are not built.',
  );
}

function section(title: string, ...parts: readonly string[]): string[] {
  return [`## ${text(title)}`, ...parts.filter((part) => part !== '')];
}

function list(items: readonly string[]): string {
  return items.map((item) => `- ${item}`).join('\n');
}

/** @param instead what stands where there are no rows */
function table(titles: readonly string[], rows: readonly (readonly Cell[])[], instead: string): string {
  if (rows.length === 0) return instead;
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(titles), line(titles.map(() => '---')), ...rows.map((row) => line(row.map(text)))].join('\n');
}

/** Text on one line in which nothing is Markdown or HTML any more. */
function text(value: Cell): string {
  return oneLine(String(value ?? '–')).replace(/[\\`*_[\]<>|#&~!]/g, (sign) =>
    sign === '<' ? '&lt;' : sign === '&' ? '&amp;' : `\\${sign}`,
  );
}

/** Text as code; a backtick in it would end that. */
function code(value: string): string {
  return `\`${oneLine(value).replaceAll('`', "'")}\``;
}
