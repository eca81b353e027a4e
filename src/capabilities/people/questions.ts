import { z } from 'zod';
import type { Database, Migrations } from '../../host/sqlite.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { count } from '../../lib/text.ts';
import { type Actor, actorSchema } from '../../operations/journal.ts';
import { type Person, personOf } from './person.ts';

/**
 * What people answered, and who signed a release off (S1-91). Append-only: a later answer takes the place of an earlier one, which
 * stays. The digest of an answer that is not about a release is empty.
 */
export const signOffMigrations: Migrations = {
  module: 'sign-off',
  scripts: [
    `CREATE TABLE answers (
       seq INTEGER PRIMARY KEY,
       digest TEXT NOT NULL,
       question TEXT NOT NULL,
       answer TEXT NOT NULL,
       uid INTEGER NOT NULL,
       user TEXT NOT NULL,
       actor TEXT NOT NULL,
       at INTEGER NOT NULL,
       comment TEXT
     ) STRICT;
     CREATE INDEX answers_of_release ON answers (digest, question, seq);
     CREATE TABLE sign_offs (
       seq INTEGER PRIMARY KEY,
       digest TEXT NOT NULL,
       tag TEXT NOT NULL,
       accepted INTEGER NOT NULL,
       uid INTEGER NOT NULL,
       user TEXT NOT NULL,
       actor TEXT NOT NULL,
       at INTEGER NOT NULL,
       comment TEXT
     ) STRICT;
     CREATE INDEX sign_offs_of_release ON sign_offs (digest, seq);
     ${['answers', 'sign_offs']
       .flatMap((table) =>
         ['UPDATE', 'DELETE'].map(
           (verb) =>
             `CREATE TRIGGER ${table}_append_only_${verb} BEFORE ${verb} ON ${table} BEGIN SELECT RAISE(ABORT, '${table} are append-only'); END;`,
         ),
       )
       .join('\n')}`,
  ],
};

/** `none`: the question does not apply here. */
const answerWords = ['yes', 'no', 'none'] as const;

const said = {
  digest: z.string(),
  uid: z.number(),
  user: z.string(),
  actor: z.string().transform((text) => actorSchema.parse(JSON.parse(text))),
  at: z.number(),
  comment: z.string().nullable(),
};
const answerRow = z
  .object({ question: z.string(), answer: z.enum(answerWords), ...said })
  .transform(({ uid, user, ...rest }) => ({ ...rest, person: { uid, user } }));
/** What a person answered. `at` is milliseconds since 1970. */
export type Answer = z.output<typeof answerRow>;
const signOffRow = z
  .object({ tag: z.string(), accepted: z.number().transform((value) => value === 1), ...said })
  .transform(({ uid, user, ...rest }) => ({ ...rest, person: { uid, user } }));
/** That a person accepted a release, or did not. */
export type SignOff = z.output<typeof signOffRow>;

/** A question of a policy. `again` is milliseconds. */
export interface Question {
  readonly id: string;
  readonly text: string;
  readonly about: 'release' | 'appliance';
  readonly again?: number | undefined;
}

/** A question and the answer that stands; `open` when there is none, or it has grown too old. */
export interface QuestionState extends Question {
  readonly answer: Answer | null;
  readonly open: boolean;
}

/** Answers and sign-offs in state.db. */
export class SignOffStore {
  readonly #db: Database;

  constructor(database: Database) {
    this.#db = database;
  }

  /** Answers about a release and about the appliance, oldest first. */
  answers(digest: string): Answer[] {
    const rows = this.#db.prepare("SELECT * FROM answers WHERE digest IN (?, '') ORDER BY seq").all(digest);
    return z.array(answerRow).parse(rows);
  }

  answer({ digest, question, answer, person, actor, at, comment }: Answer): void {
    this.#db
      .prepare(
        'INSERT INTO answers (digest, question, answer, uid, user, actor, at, comment) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
      )
      .run(digest, question, answer, person.uid, person.user, JSON.stringify(actor), Math.round(at), comment);
  }

  /** The last word on a release. */
  decision(digest: string): SignOff | undefined {
    const found = this.#db.prepare('SELECT * FROM sign_offs WHERE digest = ? ORDER BY seq DESC LIMIT 1').get(digest);
    return found === undefined ? undefined : signOffRow.parse(found);
  }

  decide({ digest, tag, accepted, person, actor, at, comment }: SignOff): void {
    this.#db
      .prepare(
        'INSERT INTO sign_offs (digest, tag, accepted, uid, user, actor, at, comment) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
      )
      .run(digest, tag, accepted ? 1 : 0, person.uid, person.user, JSON.stringify(actor), Math.round(at), comment);
  }
}

/**
 * Which questions are answered: by the last answer, while it is not too old. Pure.
 * @param answers oldest first @param now milliseconds since 1970
 */
export function questionStates(
  questions: readonly Question[],
  answers: readonly Answer[],
  now: number,
): QuestionState[] {
  return questions.map((question) => {
    const answer = answers.findLast(
      (one) => one.question === question.id && (one.digest === '') === (question.about === 'appliance'),
    );
    const old = answer !== undefined && question.again !== undefined && now - answer.at >= question.again;
    return { ...question, answer: answer ?? null, open: answer === undefined || old };
  });
}

/** What is needed to judge whether somebody may sign a release off. */
export interface Wish {
  readonly accepted: boolean;
  readonly comment: string | null;
  readonly actor: Actor;
  /** Who deployed it, where another person must sign it off; undefined where anybody may. */
  readonly deployer: Person | undefined;
}

/**
 * Whether a release may be signed off, yes or no. Pure.
 * @returns the person
 * @throws ApplianceError `questions_open`; `usage` without a reason for what needs one; `not_permitted` for the deployer, or
 *   where nobody can be told
 */
export function admitSignOff(states: readonly QuestionState[], { accepted, comment, actor, deployer }: Wish): Person {
  const person = personOf(actor);
  if (deployer?.uid === person.uid)
    throw refused(
      'not_permitted',
      `${person.user} has deployed this release, and another person signs it off`,
      'ask somebody else',
    );
  if (!accepted) {
    if (comment !== null) return person;
    throw refused('usage', 'say why the release is not accepted', 'add --comment TEXT');
  }
  const open = states.filter((state) => state.open);
  if (open.length > 0) throw unanswered(open);
  const denied = states.filter(({ answer }) => answer?.answer === 'no').map(({ id }) => id);
  if (denied.length > 0 && comment === null)
    throw refused(
      'usage',
      `${denied.join(', ')}: the answer is no; say why the release is accepted all the same`,
      'add --comment TEXT',
    );
  return person;
}

function unanswered(open: readonly Question[]): ApplianceError {
  return new ApplianceError(
    'questions_open',
    `${count(open.length, 'question')} without an answer: ${open.map(({ id, text }) => `${id} (${text})`).join('; ')}`,
    { left: 'the release is not signed off; answers that were given are kept', hint: 'answer them: --answer ID=yes' },
  );
}

function refused(code: 'usage' | 'not_permitted', message: string, hint: string): ApplianceError {
  return new ApplianceError(code, message, { left: 'the release is not signed off', hint });
}
