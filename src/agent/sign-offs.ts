import type { SignOffView } from '../api/people.ts';
import type { ParsedInput } from '../api/routes.ts';
import { type Person, personOf } from '../capabilities/people/person.ts';
import {
  type Answer,
  admitSignOff,
  type Question,
  questionStates,
  type SignOff,
  SignOffStore,
} from '../capabilities/people/questions.ts';
import { releaseDigest } from '../capabilities/releases/digest.ts';
import type { ReleaseRecord, ReleaseStore } from '../capabilities/releases/store.ts';
import { loadPolicy } from '../config/policy-load.ts';
import type { Config } from '../config/schema.ts';
import type { Database } from '../host/sqlite.ts';
import { type Clock, timestamp } from '../lib/clock.ts';
import { ApplianceError } from '../lib/errors.ts';
import { didYouMean } from '../lib/near.ts';
import type { Paths } from '../lib/paths.ts';
import { combine } from '../lib/verdict.ts';
import type { AuditLog } from '../operations/audit.ts';
import type { Actor, Journal, OperationRecord } from '../operations/journal.ts';

export interface SignOffDeps {
  readonly config: Pick<Config, 'deploy' | 'monitoring'>;
  readonly paths: Pick<Paths, 'config'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly database: Database;
  readonly store: ReleaseStore;
  readonly journal: Journal;
  readonly audit: AuditLog;
}

/** Operations about a release that are looked through for its deploy. */
const remembered = 1_000;

interface Asked {
  readonly policies: readonly string[];
  readonly questions: readonly Question[];
  /** The demand that asks for a sign-off; null where no policy does. */
  readonly requirement: string | null;
  readonly by: 'another' | 'anybody';
}

/** The documents' questions to people, asked once, and the sign-off of a release (S1-91). */
export class SignOffs {
  readonly #deps: SignOffDeps;
  readonly #store: SignOffStore;

  constructor(deps: SignOffDeps) {
    this.#deps = deps;
    this.#store = new SignOffStore(deps.database);
  }

  /** @throws ApplianceError `release_not_found`, `policy_not_found`, `policy_invalid` */
  async show({ tag, policy }: ParsedInput<'questions'>): Promise<SignOffView> {
    const release = this.#deployed(tag);
    const asked = await this.#asked(release, policy);
    return this.#view(release, await this.#digest(release), asked);
  }

  /**
   * Keeps answers, then whether the release is accepted.
   * @throws ApplianceError those of `show`; `usage` for a question that nobody asks; `questions_open`, `not_permitted`
   */
  async sign(input: ParsedInput<'signoff'>, actor: Actor): Promise<SignOffView> {
    const release = this.#deployed(input.tag);
    const asked = await this.#asked(release, input.policy);
    const digest = await this.#digest(release);
    this.#keep(input.answers, { release, digest, asked, actor });
    if (input.decision) this.#decide(input.decision, { release, digest, asked, actor });
    return this.#view(release, digest, asked);
  }

  #keep(answers: ParsedInput<'signoff'>['answers'], about: About): void {
    const { release, digest, asked, actor } = about;
    if (answers.length === 0) return;
    const person = personOf(actor);
    const known = new Map(asked.questions.map((question) => [question.id, question]));
    for (const { id } of answers) if (!known.has(id)) throw unknownQuestion(id, [...known.keys()]);
    const at = this.#deps.clock.now();
    this.#deps.database
      .transaction(() => {
        for (const { id, answer, ...rest } of answers) {
          const comment = rest.comment ?? null;
          const of = known.get(id)?.about === 'appliance' ? '' : digest;
          this.#store.answer({ digest: of, question: id, answer, person, actor, at, comment });
          this.#audit(at, actor, 'answer', release.tag, `${id} ${answer}${comment === null ? '' : `: ${comment}`}`);
        }
      })
      .immediate();
  }

  #decide(decision: NonNullable<ParsedInput<'signoff'>['decision']>, about: About): void {
    const { release, digest, asked, actor } = about;
    const { accepted } = decision;
    const comment = decision.comment ?? null;
    const at = this.#deps.clock.now();
    const states = questionStates(asked.questions, this.#store.answers(digest), at);
    const deployer = asked.by === 'another' ? this.#deployer(release) : undefined;
    const person = admitSignOff(states, { accepted, comment, actor, deployer });
    const words = `${accepted ? 'accepted' : 'not accepted'}, ${digest}${comment === null ? '' : `: ${comment}`}`;
    this.#deps.database
      .transaction(() => {
        this.#store.decide({ digest, tag: release.tag, accepted, person, actor, at, comment });
        this.#audit(at, actor, 'sign off', release.tag, words);
      })
      .immediate();
  }

  #audit(at: number, actor: Actor, action: string, target: string, result: string): void {
    this.#deps.audit.append(timestamp(at), actor, action, target, result);
  }

  /** A release that users have got. */
  #deployed(tag: string): ReleaseRecord {
    const release = this.#deps.store.find(tag);
    if (release.deployedAt !== null) return release;
    throw new ApplianceError('release_not_found', `${tag} was never in service, so there is nothing to sign off`, {
      left: 'nothing was recorded',
      hint: `bring it into service: appliance deploy ${tag}`,
    });
  }

  async #digest({ id }: ReleaseRecord): Promise<string> {
    return releaseDigest(await this.#deps.store.manifest(id));
  }

  /** The deploy that brought a release into service last. */
  #deploy({ tag }: ReleaseRecord): OperationRecord | undefined {
    return this.#deps.journal.about(tag, remembered).find(({ kind, result }) => kind === 'deploy' && result === 'done');
  }

  /** Who deployed it; undefined where that was root, of whom nobody knows who it was. */
  #deployer(release: ReleaseRecord): Person | undefined {
    const actor = this.#deploy(release)?.actor;
    const person = actor && (actor.login ?? actor);
    return person && person.uid > 0 ? { uid: person.uid, user: person.user } : undefined;
  }

  /** What is asked of a release: by the policy of its deploy and that of the appliance, else the one it is watched by. */
  async #asked(release: ReleaseRecord, named: string | undefined): Promise<Asked> {
    const { config, paths } = this.#deps;
    const chosen = [config.deploy.policy, policyIn(this.#deploy(release)?.input), named].filter(
      (name) => name !== undefined,
    );
    const policies = [...new Set(chosen.length > 0 ? chosen : (config.monitoring?.policies?.slice(0, 1) ?? []))];
    const loaded = await Promise.all(policies.map((name) => loadPolicy(name, paths.config)));
    const questions = new Map(loaded.flatMap(({ policy }) => policy.questions).map((one) => [one.id, one]));
    const wanted = loaded.flatMap(({ policy }) => policy.signOff ?? []);
    return {
      policies,
      questions: [...questions.values()],
      requirement: wanted[0]?.id ?? null,
      by: wanted.some(({ by }) => by === 'another') ? 'another' : 'anybody',
    };
  }

  #view(release: ReleaseRecord, digest: string, asked: Asked): SignOffView {
    const states = questionStates(asked.questions, this.#store.answers(digest), this.#deps.clock.now());
    const decision = this.#store.decision(digest);
    const deploy = this.#deploy(release);
    return {
      release: release.tag,
      digest,
      policies: [...asked.policies],
      deployed: {
        time: timestamp(release.deployedAt ?? 0),
        user: deploy ? (deploy.actor.login?.user ?? deploy.actor.user) : (release.actor ?? 'unknown'),
      },
      questions: states.map(({ id, text, about, again, answer, open }) => ({
        id,
        text,
        about,
        againSeconds: again === undefined ? null : again / 1_000,
        open,
        answer: answer && { answer: answer.answer, ...said(answer) },
      })),
      signOff: {
        requirement: asked.requirement,
        by: asked.by,
        decision: decision ? { accepted: decision.accepted, ...said(decision) } : null,
      },
      verdict: combine([
        ...states.map(({ answer, open }) => (open ? 'inconclusive' : answer?.answer === 'no' ? 'fail' : 'pass')),
        decision === undefined ? 'inconclusive' : decision.accepted ? 'pass' : 'fail',
      ]),
    };
  }
}

interface About {
  readonly release: ReleaseRecord;
  readonly digest: string;
  readonly asked: Asked;
  readonly actor: Actor;
}

/** The policy that a deploy was told to follow. @param input of its operation */
export function policyIn(input: unknown): string | undefined {
  return typeof input === 'object' && input !== null && 'policy' in input && typeof input.policy === 'string'
    ? input.policy
    : undefined;
}

function said({ at, person, actor, comment }: Answer | SignOff) {
  return { time: timestamp(at), user: person.user, uid: person.uid, account: actor.user, ssh: actor.ssh, comment };
}

function unknownQuestion(id: string, known: readonly string[]): ApplianceError {
  return new ApplianceError('usage', `nobody asks ${id} of this release`, {
    left: 'nothing was recorded',
    hint:
      didYouMean(id, known) ??
      (known.length === 0 ? 'the policy has no questions' : `the questions are ${known.join(', ')}`),
  });
}
