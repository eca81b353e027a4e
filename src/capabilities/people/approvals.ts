import { z } from 'zod';
import type { Database, Migrations } from '../../host/sqlite.ts';
import { ApplianceError } from '../../lib/errors.ts';
import { didYouMean } from '../../lib/near.ts';
import { type Actor, actorSchema } from '../../operations/journal.ts';
import { type Person, personOf } from './person.ts';

/**
 * Who approved which release in which role, and who took it back (S4-23). Append-only, and each row also stands in the audit
 * chain. An approval belongs to the digest of a release: what is made of other files, images or settings needs a new one.
 */
export const approvalMigrations: Migrations = {
  module: 'approvals',
  scripts: [
    `CREATE TABLE approvals (
       seq INTEGER PRIMARY KEY,
       digest TEXT NOT NULL,
       tag TEXT NOT NULL,
       role TEXT NOT NULL,
       given INTEGER NOT NULL,
       uid INTEGER NOT NULL,
       user TEXT NOT NULL,
       actor TEXT NOT NULL,
       at INTEGER NOT NULL,
       comment TEXT
     ) STRICT;
     CREATE INDEX approvals_of_release ON approvals (digest, seq);
     CREATE TRIGGER approvals_are_append_only_1 BEFORE UPDATE ON approvals BEGIN SELECT RAISE(ABORT, 'approvals are append-only'); END;
     CREATE TRIGGER approvals_are_append_only_2 BEFORE DELETE ON approvals BEGIN SELECT RAISE(ABORT, 'approvals are append-only'); END;`,
  ],
};

const row = z
  .object({
    digest: z.string(),
    tag: z.string(),
    role: z.string(),
    given: z.number(),
    uid: z.number(),
    user: z.string(),
    actor: z.string(),
    at: z.number(),
    comment: z.string().nullable(),
  })
  .transform(({ given, uid, user, actor, ...rest }) => ({
    ...rest,
    /** False: it was withdrawn. */
    given: given === 1,
    person: { uid, user },
    actor: actorSchema.parse(JSON.parse(actor)),
  }));
/** That a person approved a release in a role, or took that back. `at` is milliseconds since 1970. */
export type Approval = z.output<typeof row>;

/** A role that is asked for, with those who may hold it; without such a list every operator may. */
export interface Role {
  /** The demand that asks for it. */
  readonly id: string;
  readonly role: string;
  readonly title: string;
  readonly holders?: readonly string[] | undefined;
}

/** A role, and the approval that stands in it. */
export interface RoleState extends Role {
  readonly approval: Approval | null;
}

/** Approvals in state.db. */
export class ApprovalStore {
  readonly #db: Database;

  constructor(database: Database) {
    this.#db = database;
  }

  /** Everything that was said of a release, oldest first. */
  of(digest: string): Approval[] {
    return z.array(row).parse(this.#db.prepare('SELECT * FROM approvals WHERE digest = ? ORDER BY seq').all(digest));
  }

  add(approval: Omit<Approval, 'given'> & { readonly given: boolean }): void {
    const { digest, tag, role, given, person, actor, at, comment } = approval;
    this.#db
      .prepare(
        'INSERT INTO approvals (digest, tag, role, given, uid, user, actor, at, comment) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)',
      )
      .run(digest, tag, role, given ? 1 : 0, person.uid, person.user, JSON.stringify(actor), Math.round(at), comment);
  }
}

/**
 * Which roles are filled: by the last word on each, from somebody who may still hold it, and who fills no other role. Pure.
 * @param said everything that was said of the release, oldest first
 */
export function stateOf(roles: readonly Role[], said: readonly Approval[]): RoleState[] {
  const taken = new Set<number>();
  return roles.map((role) => {
    const last = said.findLast((one) => one.role === role.role);
    const stands = last?.given === true && mayHold(role, last.person) && !taken.has(last.person.uid);
    if (stands) taken.add(last.person.uid);
    return { ...role, approval: stands ? last : null };
  });
}

/** The roles that nobody fills yet. Pure. */
export function missingOf(states: readonly RoleState[]): Role[] {
  return states.filter(({ approval }) => approval === null);
}

/**
 * Whether somebody may approve a release in a role. Pure.
 * @returns the person; null when that very approval stands already
 * @throws ApplianceError `usage` for a role that nobody asks for, or that somebody else fills; `not_permitted` for who may
 *   not hold it, holds another one, or cannot be told
 */
export function admit(states: readonly RoleState[], wanted: string, actor: Actor): Person | null {
  const role = roleOf(states, wanted);
  const person = personOf(actor);
  if (!mayHold(role, person)) {
    throw refused(
      'not_permitted',
      `${person.user} may not approve as ${role.title}`,
      `those who may: ${role.holders?.join(', ')} (people.roles of appliance.yaml)`,
    );
  }
  if (role.approval?.person.uid === person.uid) return null;
  if (role.approval) {
    throw refused(
      'usage',
      `${role.approval.person.user} has approved as ${role.title} already`,
      'one approval of each role is enough',
    );
  }
  const other = states.find(({ approval }) => approval?.person.uid === person.uid);
  if (other) {
    throw refused(
      'not_permitted',
      `${person.user} has approved as ${other.title} already, and each role takes another person`,
      'ask somebody else',
    );
  }
  return person;
}

/**
 * Whether somebody may take an approval back: who gave it. Pure.
 * @throws ApplianceError `usage` where none stands; `not_permitted` for anybody else
 */
export function admitWithdrawal(states: readonly RoleState[], wanted: string, actor: Actor): Person {
  const role = roleOf(states, wanted);
  const person = personOf(actor);
  if (!role.approval) throw refused('usage', `nobody has approved as ${role.title}`, undefined);
  if (role.approval.person.uid === person.uid) return person;
  throw refused(
    'not_permitted',
    `${role.approval.person.user} has approved as ${role.title}, and only they can withdraw it`,
    undefined,
  );
}

function roleOf(states: readonly RoleState[], wanted: string): RoleState {
  const role = states.find((state) => state.role === wanted);
  if (role) return role;
  const names = states.map((state) => state.role);
  throw refused(
    'usage',
    `no approval is asked for in the role ${wanted}`,
    didYouMean(wanted, names) ?? `the roles are ${names.join(', ')}`,
  );
}

function mayHold({ holders }: Role, { user }: Person): boolean {
  return holders === undefined || holders.includes(user);
}

function refused(code: 'usage' | 'not_permitted', message: string, hint: string | undefined): ApplianceError {
  return new ApplianceError(code, message, { left: 'nothing was recorded', hint });
}

/**
 * The refusal of a release that lacks approvals.
 * @param tag what is to be deployed
 */
export function lacking(tag: string, missing: readonly Role[]): ApplianceError {
  const titles = missing.map(({ title }) => title).join(', ');
  return new ApplianceError('approval_missing', `${tag} is not approved yet: ${titles} (${idsOf(missing)})`, {
    left: 'nothing that anybody uses was touched',
    hint: missing.map(({ role }) => `appliance approve ${tag} --role ${role}`).join('; '),
  });
}

/** `S4-23` */
export function idsOf(roles: readonly Role[]): string {
  return [...new Set(roles.map(({ id }) => id))].join(', ');
}
