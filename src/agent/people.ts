import type { Approvals } from '../api/people.ts';
import type { ParsedInput } from '../api/routes.ts';
import {
  type Approval,
  ApprovalStore,
  admit,
  admitWithdrawal,
  lacking,
  missingOf,
  type Role,
  stateOf,
} from '../capabilities/people/approvals.ts';
import { releaseDigest } from '../capabilities/releases/digest.ts';
import type { ReleaseStore } from '../capabilities/releases/store.ts';
import { loadPolicy } from '../config/policy-load.ts';
import type { Config } from '../config/schema.ts';
import { assertTag } from '../host/git.ts';
import type { Database } from '../host/sqlite.ts';
import { type Clock, timestamp } from '../lib/clock.ts';
import { ApplianceError } from '../lib/errors.ts';
import type { Paths } from '../lib/paths.ts';
import type { AuditLog } from '../operations/audit.ts';
import type { Actor } from '../operations/journal.ts';
import { commitOf, peek, type ResolveDeps } from '../recipes/resolve.ts';

export interface PeopleDeps {
  readonly config: Pick<Config, 'deploy' | 'people'>;
  readonly paths: Pick<Paths, 'config'>;
  readonly clock: Pick<Clock, 'now'>;
  readonly database: Database;
  readonly store: ReleaseStore;
  readonly resolve: ResolveDeps;
  readonly audit: AuditLog;
}

type Subject = Parameters<typeof releaseDigest>[0];
type Wish = ParsedInput<'approvals'>;

/** What people say of releases: who approved which, and whether that is enough (S4-23). */
export class People {
  readonly #deps: PeopleDeps;
  readonly #approvals: ApprovalStore;

  constructor(deps: PeopleDeps) {
    this.#deps = deps;
    this.#approvals = new ApprovalStore(deps.database);
  }

  /**
   * Policies that a deploy must satisfy: naming another one on the command line does not get round that of the appliance.
   * @param named the policy that the command names
   */
  policies(named: string | undefined): string[] {
    return [...new Set([this.#deps.config.deploy.policy, named].filter((name) => name !== undefined))];
  }

  /** Roles that must approve a deploy. @throws ApplianceError `policy_not_found`, `policy_invalid` */
  async roles(named: string | undefined): Promise<Role[]> {
    const { config, paths } = this.#deps;
    const roles = new Map<string, Role>();
    for (const name of this.policies(named)) {
      const { policy } = await loadPolicy(name, paths.config);
      for (const { id, role, title } of policy.approvals) {
        const holders = config.people.roles[role];
        if (!roles.has(role)) roles.set(role, { id, role, title, ...(holders ? { holders } : {}) });
      }
    }
    return [...roles.values()];
  }

  /** Everything that was said of a release that was resolved. @param release its id */
  async approvalsOf(release: string): Promise<Approval[]> {
    return this.#approvals.of(releaseDigest(await this.#deps.store.manifest(release)));
  }

  /**
   * Who has approved a release that was resolved, by the policy of the appliance; undefined where that asks nobody, or is
   * not there, which every deploy says.
   */
  async standing(release: string): Promise<Approvals | undefined> {
    const roles = await this.roles(undefined).catch(() => []);
    if (roles.length === 0) return undefined;
    return this.view(await this.#deps.store.manifest(release), roles, this.policies(undefined));
  }

  /**
   * Refuses a deploy before it begins.
   * @throws ApplianceError `approval_missing`, and what resolving a release throws
   */
  async assertApproved(
    wish: Pick<Wish, 'tag' | 'acceptMovedTag'>,
    roles: readonly Role[],
    signal: AbortSignal,
  ): Promise<void> {
    const digest = releaseDigest(await this.#subject(wish, signal));
    const missing = missingOf(stateOf(roles, this.#approvals.of(digest)));
    if (missing.length > 0) throw lacking(wish.tag, missing);
  }

  /** Who has approved a release as it would be deployed now. */
  async show(wish: Wish, signal: AbortSignal): Promise<Approvals> {
    const roles = await this.roles(wish.policy);
    return this.view(await this.#subject(wish, signal), roles, this.policies(wish.policy));
  }

  /**
   * Records that a person approves a release, or takes that back.
   * @throws ApplianceError `usage`, `not_permitted`; `moved_tag` and the like where the release cannot be resolved
   */
  async approve(input: ParsedInput<'approve'>, actor: Actor, signal: AbortSignal): Promise<Approvals> {
    const { clock, audit } = this.#deps;
    const policies = this.policies(input.policy);
    const roles = await this.roles(input.policy);
    if (roles.length === 0) throw nobodyAsks(policies);
    const subject = await this.#subject(input, signal);
    const digest = releaseDigest(subject);
    assertSame(input.digest, digest);
    const states = stateOf(roles, this.#approvals.of(digest));
    const given = !input.withdraw;
    const person = (given ? admit : admitWithdrawal)(states, input.role, actor);
    if (person) {
      const at = clock.now();
      const comment = input.comment ?? null;
      this.#deps.database
        .transaction(() => {
          this.#approvals.add({ digest, tag: input.tag, role: input.role, given, person, actor, at, comment });
          const what = `as ${input.role}, ${digest}${comment === null ? '' : `: ${comment}`}`;
          audit.append(timestamp(at), actor, given ? 'approve' : 'withdraw approval', input.tag, what);
        })
        .immediate();
    }
    return this.view(subject, roles, policies);
  }

  /** What is asked and what was said of a release. */
  view(subject: Subject, roles: readonly Role[], policies: readonly string[]): Approvals {
    const digest = releaseDigest(subject);
    const history = this.#approvals.of(digest);
    const states = stateOf(roles, history);
    return {
      release: subject.tag,
      digest,
      commit: subject.commit,
      policies: [...policies],
      verdict: missingOf(states).length === 0 ? 'pass' : 'inconclusive',
      approvals: states.map(({ id, role, title, holders, approval }) => ({
        role,
        title,
        requirement: id,
        holders: holders ? [...holders] : null,
        given: approval && said(approval),
      })),
      history: history.map((one) => ({ role: one.role, given: one.given, ...said(one) })),
    };
  }

  async #subject({ tag, acceptMovedTag }: Pick<Wish, 'tag' | 'acceptMovedTag'>, signal: AbortSignal): Promise<Subject> {
    assertTag(tag);
    const { resolve } = this.#deps;
    const commit = await commitOf(resolve, tag, acceptMovedTag, () => undefined, signal);
    const { content } = await peek(resolve, tag, commit, signal);
    return { tag, commit, ...content };
  }
}

function said({ at, person, actor, comment }: Approval) {
  return { time: timestamp(at), user: person.user, uid: person.uid, account: actor.user, ssh: actor.ssh, comment };
}

function nobodyAsks(policies: readonly string[]): ApplianceError {
  return new ApplianceError(
    'usage',
    policies.length === 0
      ? 'deploys of this appliance follow no policy, so nobody asks for approvals'
      : `the policy ${policies.join(', ')} asks for no approvals`,
    {
      left: 'nothing was recorded',
      hint: 'name the policy of the deploy with --policy, or deploy.policy in appliance.yaml',
    },
  );
}

/** @throws ApplianceError `usage` when the release is another one than the person has looked at */
function assertSame(seen: string | undefined, digest: string): void {
  if (seen === undefined || digest.slice('sha256:'.length).startsWith(seen.replace(/^sha256:/, ''))) return;
  throw new ApplianceError('usage', `the release is ${digest} now, not ${seen}`, {
    left: 'nothing was recorded',
    hint: 'look at what has changed: appliance plan TAG',
  });
}
