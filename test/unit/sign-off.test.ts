import { mkdtempSync, rmSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { SignOffs } from '../../src/agent/sign-offs.ts';
import { signOffMigrations } from '../../src/capabilities/people/questions.ts';
import { ReleaseStore, releaseMigrations } from '../../src/capabilities/releases/store.ts';
import { loadPolicy } from '../../src/config/policy-load.ts';
import { type Database, openDatabase } from '../../src/host/sqlite.ts';
import { type Clock, systemClock } from '../../src/lib/clock.ts';
import { AuditLog, auditMigrations } from '../../src/operations/audit.ts';
import { type Actor, Journal, journalMigrations } from '../../src/operations/journal.ts';

const day = 86_400_000;
const anna: Actor = { uid: 1001, user: 'anna', ssh: null };
const bob: Actor = { uid: 1002, user: 'bob', ssh: '192.0.2.9' };
const root: Actor = { uid: 0, user: 'root', ssh: null };
const annaAsRoot: Actor = { ...root, login: { uid: 1001, user: 'anna' } };
const policy = `name: careful
title: careful
questions:
  - { id: Q1, text: leads were looked at }
  - { id: Q2, about: appliance, text: documents exist }
  - { id: Q3, about: appliance, again: 7d, text: the week is done }
signOff: { id: S1-91, by: another }
`;

let directory: string;
let database: Database;
let signOffs: SignOffs;
let audit: AuditLog;
let journal: Journal;
let store: ReleaseStore;
let now: number;
const clock: Clock = { ...systemClock, now: () => now };

async function release(tag: string, deployedBy: Actor | undefined): Promise<void> {
  const { id } = await store.add(tag, 'c0ffee', async ({ source }) => {
    await writeFile(join(source, 'file'), tag);
    return {
      content: { schema: null, services: [], environment: { keys: [], sha256: tag }, files: {}, model: 'm' },
      environment: {},
      model: () => '{}',
    };
  });
  if (!deployedBy) return;
  journal.begin(
    { id: `deploy-${tag}`, kind: 'deploy', target: tag, origin: null, input: { tag }, actor: deployedBy },
    now,
  );
  journal.end(`deploy-${tag}`, 'done', now, null);
  store.setLive(id, 'blue', { actor: deployedBy.user, verdict: 'pass' });
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'sign-off-'));
  now = Date.UTC(2030, 0, 1);
  database = openDatabase(join(directory, 'state.db'), [
    journalMigrations,
    auditMigrations,
    releaseMigrations,
    signOffMigrations,
  ]);
  journal = new Journal(database);
  audit = new AuditLog(database);
  store = new ReleaseStore({ database, directory: join(directory, 'releases'), clock });
  await mkdir(join(directory, 'policies'));
  await writeFile(join(directory, 'policies/careful.yaml'), policy);
  const config = { deploy: { policy: 'careful' } } as ConstructorParameters<typeof SignOffs>[0]['config'];
  const paths = { config: join(directory, 'appliance.yaml') };
  signOffs = new SignOffs({ config, paths, clock, database, store, journal, audit });
  await release('v1', annaAsRoot);
});
afterEach(() => {
  database.close();
  rmSync(directory, { recursive: true, force: true });
});

const answer = (id: string, said: 'yes' | 'no' | 'none', comment?: string) => ({
  id,
  answer: said,
  ...(comment === undefined ? {} : { comment }),
});
const all = [answer('Q1', 'yes'), answer('Q2', 'yes'), answer('Q3', 'none')];
const open = async (tag = 'v1') =>
  (await signOffs.show({ tag })).questions.filter((question) => question.open).map(({ id }) => id);

describe('questions to people', () => {
  it('are asked once: of each release, of the appliance, or again when the answer is old', async () => {
    expect(await open()).toEqual(['Q1', 'Q2', 'Q3']);
    await signOffs.sign({ tag: 'v1', answers: all }, bob);
    expect(await open()).toEqual([]);
    await release('v2', bob);
    expect(await open('v2')).toEqual(['Q1']);
    now += 7 * day;
    expect(await open('v1')).toEqual(['Q3']);
  });
  it('keep who answered, when, from where and what else was said; a later answer counts', async () => {
    await signOffs.sign({ tag: 'v1', answers: [answer('Q1', 'no', 'only 40')] }, bob);
    const view = await signOffs.show({ tag: 'v1' });
    expect(view.questions[0]?.answer).toEqual({
      answer: 'no',
      time: '2030-01-01T00:00:00.000Z',
      user: 'bob',
      uid: 1002,
      account: 'bob',
      ssh: '192.0.2.9',
      comment: 'only 40',
    });
    expect(view.verdict).toBe('fail');
    const after = await signOffs.sign({ tag: 'v1', answers: [answer('Q1', 'yes')] }, annaAsRoot);
    expect(after.questions[0]?.answer).toMatchObject({ answer: 'yes', user: 'anna', account: 'root' });
    expect(audit.entries(undefined, 9).map(({ action, result }) => `${action} ${result}`)).toEqual([
      'answer Q1 yes',
      'answer Q1 no: only 40',
    ]);
  });
  it('are not answered half: one that nobody asks, and nothing is kept', async () => {
    const answers = [answer('Q1', 'yes'), answer('Q9', 'yes')];
    await expect(signOffs.sign({ tag: 'v1', answers }, bob)).rejects.toMatchObject({ code: 'usage' });
    expect(await open()).toEqual(['Q1', 'Q2', 'Q3']);
  });
  it('are not answered by root, of whom nobody knows who it is', async () => {
    await expect(signOffs.sign({ tag: 'v1', answers: all }, root)).rejects.toMatchObject({ code: 'not_permitted' });
  });
  it('stand in the policies of all five documents', async () => {
    const ids = async (name: string) =>
      (await loadPolicy(name, '/nowhere/appliance.yaml')).policy.questions.map(({ id }) => id).join(' ');
    expect(await ids('iswitch')).toBe('S0-54');
    expect(await ids('routing-ml')).toBe('S1-2 S1-19 S1-61 S1-62 S1-63 S1-90');
    expect(await ids('flash')).toBe('S2-34 S2-42');
    expect(await ids('ml-pipeline')).toBe('S3-4 S3-8 S3-14 S3-24 S3-27-weekly S3-27-monthly S3-27-quarterly');
    expect(await ids('mlops')).toBe('S4-2 S4-6 S4-26 S4-44 S4-46 S4-48 S4-49 S4-50 S4-51 S4-52 S4-55');
  });
});

describe('a sign-off (S1-91)', () => {
  const accept = { accepted: true };
  it('needs every answer; those that were given stay', async () => {
    const answers = [answer('Q1', 'yes')];
    await expect(signOffs.sign({ tag: 'v1', answers, decision: accept }, bob)).rejects.toMatchObject({
      code: 'questions_open',
      exit: 4,
      message: expect.stringContaining('Q2 (documents exist)'),
    });
    expect(await open()).toEqual(['Q2', 'Q3']);
  });
  it('is for another person than the deployer, also where that was root behind a login', async () => {
    await signOffs.sign({ tag: 'v1', answers: all }, bob);
    await expect(signOffs.sign({ tag: 'v1', answers: [], decision: accept }, anna)).rejects.toMatchObject({
      code: 'not_permitted',
      message: 'anna has deployed this release, and another person signs it off',
    });
    const view = await signOffs.sign({ tag: 'v1', answers: [], decision: accept }, bob);
    expect(view).toMatchObject({
      deployed: { user: 'anna' },
      signOff: { requirement: 'S1-91', decision: { accepted: true, user: 'bob', time: '2030-01-01T00:00:00.000Z' } },
      verdict: 'pass',
    });
    expect(audit.entries(undefined, 1)[0]).toMatchObject({
      action: 'sign off',
      target: 'v1',
      result: expect.stringMatching(/^accepted, sha256:/),
    });
  });
  it('knows the deployer however much has been done since', async () => {
    await signOffs.sign({ tag: 'v1', answers: all }, bob);
    journal.atomically(() => {
      for (let number = 0; number < 1_200; number += 1)
        journal.begin(
          { id: `backup-${number}`, kind: 'backup', target: `${number}`, origin: null, input: {}, actor: root },
          now,
        );
    });
    await expect(signOffs.sign({ tag: 'v1', answers: [], decision: accept }, anna)).rejects.toMatchObject({
      code: 'not_permitted',
    });
  });

  it('in spite of a no needs a reason, and so does a refusal', async () => {
    const answers = [...all.slice(1), answer('Q1', 'no')];
    await expect(signOffs.sign({ tag: 'v1', answers, decision: accept }, bob)).rejects.toMatchObject({ code: 'usage' });
    await expect(signOffs.sign({ tag: 'v1', answers: [], decision: { accepted: false } }, bob)).rejects.toMatchObject({
      code: 'usage',
    });
    const decision = { accepted: true, comment: 'follows on Monday' };
    expect(await signOffs.sign({ tag: 'v1', answers: [], decision }, bob)).toMatchObject({
      signOff: { decision: { accepted: true, comment: 'follows on Monday' } },
      verdict: 'fail',
    });
  });
  it('may be a no while questions are open, and be taken back by a later word', async () => {
    const decision = { accepted: false, comment: 'too slow' };
    expect(await signOffs.sign({ tag: 'v1', answers: [], decision }, bob)).toMatchObject({
      signOff: { decision: { accepted: false } },
      verdict: 'fail',
    });
    expect(await signOffs.sign({ tag: 'v1', answers: all, decision: accept }, bob)).toMatchObject({ verdict: 'pass' });
  });
  it('is about a release that users have got', async () => {
    await release('v3', undefined);
    await expect(signOffs.show({ tag: 'v3' })).rejects.toMatchObject({ code: 'release_not_found', exit: 6 });
    await expect(signOffs.show({ tag: 'v9' })).rejects.toMatchObject({ code: 'release_not_found' });
  });
  it('can be neither changed nor removed by the program', async () => {
    await signOffs.sign({ tag: 'v1', answers: all, decision: accept }, bob);
    for (const table of ['answers', 'sign_offs']) {
      expect(() => database.exec(`UPDATE ${table} SET user = 'x'`)).toThrow(/append-only/);
      expect(() => database.exec(`DELETE FROM ${table}`)).toThrow(/append-only/);
    }
  });
});
