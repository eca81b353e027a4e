import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ApprovalStore,
  admit,
  admitWithdrawal,
  approvalMigrations,
  missingOf,
  type Role,
  stateOf,
} from '../../src/capabilities/people/approvals.ts';
import { personOf } from '../../src/capabilities/people/person.ts';
import { requireApprovals } from '../../src/capabilities/people/step.ts';
import { releaseDigest } from '../../src/capabilities/releases/digest.ts';
import { loadPolicy } from '../../src/config/policy-load.ts';
import { type Database, openDatabase } from '../../src/host/sqlite.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { Actor } from '../../src/operations/journal.ts';

const roles: Role[] = [
  { id: 'S4-23', role: 'tech-lead', title: 'technical lead' },
  { id: 'S4-23', role: 'security', title: 'security', holders: ['bob', 'carol'] },
];
const actor = (uid: number, user: string, more: Partial<Actor> = {}): Actor => ({ uid, user, ssh: null, ...more });
const anna = actor(1001, 'anna', { ssh: '192.0.2.7' });
const bob = actor(1002, 'bob');
const annaAsRoot = actor(0, 'root', { login: { uid: 1001, user: 'anna' } });

let database: Database;
let store: ApprovalStore;
beforeEach(() => {
  database = openDatabase(':memory:', [approvalMigrations]);
  store = new ApprovalStore(database);
});
afterEach(() => database.close());

const digest = 'sha256:1';
const states = (of = digest, wanted = roles) => stateOf(wanted, store.of(of));
function approve(role: string, by: Actor, wanted = roles): void {
  const person = admit(states(digest, wanted), role, by);
  if (person) store.add({ digest, tag: 'v1', role, given: true, person, actor: by, at: 1, comment: null });
}
function withdraw(role: string, by: Actor): void {
  const person = admitWithdrawal(states(), role, by);
  store.add({ digest, tag: 'v1', role, given: false, person, actor: by, at: 2, comment: null });
}
const missing = (of = digest, wanted = roles) => missingOf(states(of, wanted)).map(({ role }) => role);
const thrown = (work: () => unknown) => {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
};

describe('a person', () => {
  it('is the account that acts, or who logged in behind su and sudo', () => {
    expect(personOf(anna)).toEqual({ uid: 1001, user: 'anna' });
    expect(personOf(annaAsRoot)).toEqual({ uid: 1001, user: 'anna' });
    expect(personOf(actor(1002, 'bob', { login: { uid: 1001, user: 'anna' } }))).toEqual({ uid: 1001, user: 'anna' });
  });
  it.each([
    ['root', actor(0, 'root')],
    ['root who logged in as root', actor(0, 'root', { login: { uid: 0, user: 'root' } })],
    ['another account behind a login of root', actor(1002, 'bob', { login: { uid: 0, user: 'root' } })],
    ['nobody who could be proven', actor(-1, 'unknown')],
  ])('is not %s', (_, who) => {
    expect(thrown(() => personOf(who))).toMatchObject({ code: 'not_permitted', exit: 7 });
  });
});

describe('approvals (S4-23)', () => {
  it('are missing until each role has one, and hold for that very release alone', () => {
    expect(missing()).toEqual(['tech-lead', 'security']);
    approve('tech-lead', anna);
    approve('security', bob);
    expect(missing()).toEqual([]);
    expect(missing('sha256:2')).toEqual(['tech-lead', 'security']);
  });
  it('take another person for each role, also behind sudo', () => {
    approve('tech-lead', bob);
    expect(thrown(() => approve('security', bob))).toMatchObject({ code: 'not_permitted' });
    expect(
      thrown(() => approve('security', actor(1003, 'carol', { login: { uid: 1002, user: 'bob' } }))),
    ).toMatchObject({ code: 'not_permitted' });
    expect(missing()).toEqual(['security']);
  });
  it('take one who may hold the role, and no role that nobody asks for', () => {
    expect(thrown(() => approve('security', anna))).toMatchObject({
      code: 'not_permitted',
      hint: expect.stringContaining('bob, carol'),
    });
    expect(thrown(() => approve('securty', anna))).toMatchObject({ code: 'usage', hint: 'did you mean security?' });
  });
  it('are kept once when given twice, and not taken over by somebody else', () => {
    approve('tech-lead', anna);
    approve('tech-lead', annaAsRoot);
    expect(store.of(digest)).toHaveLength(1);
    expect(thrown(() => approve('tech-lead', bob))).toMatchObject({ code: 'usage' });
  });
  it('are withdrawn by who gave them alone, and can then be given again', () => {
    approve('tech-lead', anna);
    expect(thrown(() => withdraw('tech-lead', bob))).toMatchObject({ code: 'not_permitted' });
    withdraw('tech-lead', annaAsRoot);
    expect(missing()).toEqual(['tech-lead', 'security']);
    expect(thrown(() => withdraw('tech-lead', anna))).toMatchObject({ code: 'usage' });
    approve('tech-lead', bob);
    expect(missing()).toEqual(['security']);
    expect(store.of(digest).map(({ given, person }) => [given, person.user])).toEqual([
      [true, 'anna'],
      [false, 'anna'],
      [true, 'bob'],
    ]);
  });
  it('count no longer when their giver may not hold the role any more', () => {
    approve('security', bob);
    const narrower = roles.map((role) => (role.role === 'security' ? { ...role, holders: ['carol'] } : role));
    expect(missing(digest, narrower)).toEqual(['tech-lead', 'security']);
  });
  it('count once where somebody wrote one person into two roles of the database', () => {
    for (const role of ['tech-lead', 'security'])
      store.add({ digest, tag: 'v1', role, given: true, person: personOf(bob), actor: bob, at: 1, comment: null });
    expect(missing()).toEqual(['security']);
  });
  it('can be neither changed nor removed by the program', () => {
    approve('tech-lead', anna);
    expect(() => database.exec("UPDATE approvals SET role = 'security'")).toThrow(/append-only/);
    expect(() => database.exec('DELETE FROM approvals')).toThrow(/append-only/);
  });
  it('are asked for by the policy mlops in four roles', async () => {
    const { policy } = await loadPolicy('mlops', '/nowhere/appliance.yaml');
    expect(policy.approvals.map(({ id, role }) => [id, role])).toEqual([
      ['S4-23', 'tech-lead'],
      ['S4-23', 'security'],
      ['S4-23', 'product-owner'],
      ['S4-23', 'executive'],
    ]);
  });
});

describe('the step that asks for them', () => {
  const step = requireApprovals({ approvalsOf: async () => store.of(digest) });
  const bound = () => step.bind({ release: 'v1-id', tag: 'v1', roles });
  const context = {
    operation: 'op',
    signal: new AbortController().signal,
    clock: systemClock,
    progress: () => undefined,
  };
  it('refuses and says how to go on', async () => {
    approve('tech-lead', anna);
    await expect(bound().apply(context)).rejects.toMatchObject({
      code: 'approval_missing',
      exit: 7,
      message: 'v1 is not approved yet: security (S4-23)',
      hint: 'appliance approve v1 --role security',
    });
  });
  it('names who approved', async () => {
    approve('tech-lead', anna);
    approve('security', bob);
    expect(await bound().apply(context)).toBe('technical lead: anna, security: bob');
    expect(await bound().verify?.(context)).toMatchObject({ id: 'S4-23', verdict: 'pass', samples: 2, needed: 0 });
  });
  it('sees an approval that was withdrawn meanwhile', async () => {
    approve('tech-lead', anna);
    approve('security', bob);
    await bound().apply(context);
    withdraw('security', bob);
    expect(await bound().verify?.(context)).toMatchObject({ verdict: 'fail', needed: 1 });
  });
});

describe('the digest of a release', () => {
  const content = {
    tag: 'v1',
    commit: 'c0ffee',
    schema: { version: 2, readableFrom: 1 },
    services: [{ name: 'web', role: 'app', replicas: 1, image: 'web:v1', built: true }],
    environment: { keys: ['A'], sha256: 'e' },
    files: { 'a.conf': '1', 'b.conf': '2' },
    model: 'm',
  };
  it('does not depend on the order in which things are written down', () => {
    const again = Object.fromEntries(Object.entries(content).reverse()) as typeof content;
    expect(releaseDigest({ ...again, files: { 'b.conf': '2', 'a.conf': '1' } })).toBe(releaseDigest(content));
  });
  it.each([
    ['tag', { tag: 'v2' }],
    ['commit', { commit: 'c0ffef' }],
    ['schema', { schema: null }],
    ['image', { services: [{ name: 'web', role: 'app', replicas: 1, image: 'web:v2', built: true }] }],
    ['environment', { environment: { keys: ['A'], sha256: 'f' } }],
    ['file', { files: { 'a.conf': '1', 'b.conf': '3' } }],
    ['model', { model: 'n' }],
  ])('changes with its %s', (_, change) => {
    expect(releaseDigest({ ...content, ...change })).not.toBe(releaseDigest(content));
  });
});
