import type { Client } from '../../api/client.ts';
import type { SignOffView } from '../../api/people.ts';
import type { Input } from '../../api/routes.ts';
import { ApplianceError, exitCodes } from '../../lib/errors.ts';
import { count, oneLine, wrap } from '../../lib/text.ts';
import type { Call } from '../catalog.ts';
import { ask, canAsk } from '../confirm.ts';
import { exitCodeOfVerdict } from '../exit.ts';
import { type Look, mark, paint, speak } from '../output/look.ts';
import type { Session } from '../session.ts';

type Answer = NonNullable<Input<'signoff'>['answers']>[number];
type Question = SignOffView['questions'][number];

const words: Readonly<Record<string, Answer['answer']>> = {
  y: 'yes',
  yes: 'yes',
  n: 'no',
  no: 'no',
  none: 'none',
  'n/a': 'none',
};

/** Asks what nobody has answered yet, and whether the release is accepted. */
export async function signoff(call: Call<'signoff'>, session: Session): Promise<number> {
  const { accept, reject, comment, questions, policy } = call.options;
  if (accept && reject) throw usage('--accept and --reject exclude each other');
  if (comment !== undefined && !accept && !reject) throw usage('--comment needs --accept or --reject');
  const answers = call.options.answer.map(answerOf);
  const release = { tag: call.args.tag, ...(policy === undefined ? {} : { policy }) };
  const client = await session.client();
  const before = await client.ask('questions', release, session.signal);
  if (questions) {
    session.answer(before, () => signOffLines(before, session.out));
    return exitCodeOfVerdict(before.verdict);
  }
  const asking = canAsk(session);
  const decides = accept || reject;
  if (!asking && !decides && answers.length === 0) throw nobodyToAsk(before);
  const said = (more: Partial<Input<'signoff'>>) => client.ask('signoff', { ...release, ...more }, session.signal);
  let after = answers.length === 0 ? before : await said({ answers });
  if (asking && !reject) after = await askQuestions(after, session, client, release);
  const decision = decides ? decisionOf(accept, comment) : asking ? await askDecision(after, session) : undefined;
  if (decision) after = await said({ decision });
  session.answer(after, () => signOffLines(after, session.out));
  return exitCodes.done;
}

/** `S1-19=no: draft only`. @throws ApplianceError `usage` */
function answerOf(text: string): Answer {
  const [id = '', ...rest] = text.split('=');
  const answer = understand(rest.join('='));
  if (id.trim() !== '' && answer) return { id: id.trim(), ...answer };
  throw usage(`--answer ${text}: write ID=yes, ID=no or ID=none, and a remark after a colon`);
}

/** `no: draft only`. @returns undefined when it is neither yes, no nor none */
function understand(text: string): Omit<Answer, 'id'> | undefined {
  const [word = '', ...rest] = text.split(':');
  const answer = words[word.trim().toLowerCase()];
  const comment = rest.join(':').trim();
  return answer && { answer, ...(comment === '' ? {} : { comment }) };
}

/** One question after the other; each answer is kept before the next is asked. */
async function askQuestions(
  view: SignOffView,
  session: Session,
  client: Client,
  release: Pick<Input<'signoff'>, 'tag' | 'policy'>,
): Promise<SignOffView> {
  const open = view.questions.filter((question) => question.open);
  if (open.length > 0)
    session.note(
      'Answer yes, no or none (does not apply); a remark may follow a colon. Enter leaves a question open.',
      '',
    );
  let after = view;
  for (const [index, question] of open.entries()) {
    session.note(
      `${index + 1} of ${open.length}  ${paint(session.err, 'bold', question.id)}`,
      ...wrap(question.text, 76),
    );
    const answer = await askOne(session);
    if (answer)
      after = await client.ask('signoff', { ...release, answers: [{ id: question.id, ...answer }] }, session.signal);
    session.note('');
  }
  return after;
}

async function askOne(session: Session): Promise<Omit<Answer, 'id'> | undefined> {
  for (;;) {
    const line = await lineOf(session, '> ');
    if (line === '') return undefined;
    const answer = understand(line);
    if (answer) return answer;
    session.note('yes, no or none?');
  }
}

/** @returns undefined when it is not decided now */
async function askDecision(view: SignOffView, session: Session): Promise<Input<'signoff'>['decision']> {
  if (view.questions.some(({ open }) => open)) {
    session.note('Questions are open, so the release is not signed off yet.');
    return undefined;
  }
  session.note(`Is ${view.release} accepted? yes, or no with the reason after a colon. Enter decides later.`);
  for (;;) {
    const answer = await askOne(session);
    if (!answer) return undefined;
    if (answer.answer !== 'none') return decisionOf(answer.answer === 'yes', answer.comment);
    session.note('yes or no?');
  }
}

function decisionOf(accepted: boolean, comment: string | undefined): NonNullable<Input<'signoff'>['decision']> {
  return { accepted, ...(comment === undefined ? {} : { comment }) };
}

/** @throws ApplianceError `interrupted`, or why the session ended */
async function lineOf(session: Session, prompt: string): Promise<string> {
  const line = await ask(session, prompt);
  if (line !== undefined) return line.trim();
  session.signal.throwIfAborted();
  throw new ApplianceError('interrupted', 'interrupted', {
    left: 'answers that were given are kept',
    hint: 'go on where you left: appliance signoff TAG',
  });
}

function nobodyToAsk({ release, questions }: SignOffView): ApplianceError {
  const open = questions.filter((question) => question.open);
  const listed = open.map(({ id, text }) => `\n${id}: ${text}`).join('');
  return new ApplianceError(
    'confirmation_needed',
    open.length === 0
      ? 'every question is answered; whether the release is accepted must be said'
      : `${count(open.length, 'question is', 'questions are')} open and there is no terminal to ask on:${listed}`,
    {
      left: 'nothing was recorded',
      hint:
        open[0] === undefined
          ? `appliance signoff ${release} --accept`
          : `appliance signoff ${release} --answer ${open[0].id}=yes …, then --accept`,
    },
  );
}

/** The questions with their answers, and the sign-off. */
function signOffLines(view: SignOffView, look: Look): string[] {
  const { release, deployed, questions, signOff } = view;
  const { decision } = signOff;
  return [
    `${paint(look, 'bold', release)}  deployed ${deployed.time} by ${deployed.user}`,
    ...(questions.length === 0
      ? ['  no policy asks people anything']
      : questions.flatMap((one) => questionLines(one, look))),
    '',
    decision
      ? `${mark(look, decision.accepted ? 'pass' : 'fail')} ${decision.accepted ? 'accepted' : 'not accepted'} by ${decision.user}, ${decision.time}${remark(decision.comment)}`
      : `${mark(look, 'inconclusive')} ${speak(look, `not signed off yet${signOff.by === 'another' ? `; another person than ${deployed.user} does it` : ''}`)}`,
  ];
}

function questionLines({ id, text, answer, open }: Question, look: Look): string[] {
  const sign = open
    ? 'inconclusive'
    : answer?.answer === 'no'
      ? 'fail'
      : answer?.answer === 'none'
        ? 'skipped'
        : 'pass';
  const said = answer === null ? 'open' : `${answer.answer}, ${answer.user}, ${answer.time}${remark(answer.comment)}`;
  const width = Math.min(look.width, 100) - 4;
  return [
    ...wrap(`${id}: ${text}`, width).map(
      (line, index) => `${index === 0 ? `  ${mark(look, sign)} ` : '    '}${speak(look, line)}`,
    ),
    paint(
      look,
      'dim',
      speak(look, `    ${said}${open && answer ? '; asked again, because that is too long ago' : ''}`),
    ),
  ];
}

function remark(comment: string | null): string {
  return comment === null ? '' : `: ${oneLine(comment)}`;
}

function usage(message: string): ApplianceError {
  return new ApplianceError('usage', message, {
    left: 'nothing was recorded',
    hint: 'appliance signoff --help explains it',
  });
}
