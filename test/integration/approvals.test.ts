import { appendFile, chmod, mkdir, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lab } from '../support/appliance.ts';

// People are accounts of the host here: each command runs under a user id of its own and asks the agent, which is root.

const source = resolve(import.meta.dirname, '../../src/main.ts');
const policy = `name: careful
title: two people
approvals:
  - { id: S4-23, role: tech-lead, title: technical lead }
  - { id: S4-23, role: security, title: security }
`;

let lab: Lab;
beforeAll(async () => {
  lab = await Lab.make({
    name: 'approvals',
    port: 28_410,
    pool: '10.206.0.0/16',
    edit: (yaml) => yaml.replace(/^deploy:.*$/m, 'deploy: { policy: careful, drain: 5s }\nagent: { operators: root }'),
  });
  await chmod(lab.root, 0o755);
  await mkdir(join(lab.root, 'etc/policies'));
  await writeFile(join(lab.root, 'etc/policies/careful.yaml'), policy);
  await lab.startAgent();
}, 120_000);
afterAll(async () => {
  await lab?.destroy();
}, 120_000);

/** Runs the command line as somebody. @param uid nobody has this number on a host of its own */
async function as(uid: number, ...args: string[]) {
  const { exitCode, stdout } = await execa(
    'setpriv',
    [`--reuid=${uid}`, '--regid=0', '--clear-groups', process.execPath, '--no-warnings', source, ...args, '--json'],
    { reject: false, stdin: 'ignore', env: { APPLIANCE_ROOT: lab.root, HOME: '/' }, timeout: 60_000 },
  );
  return { exitCode, document: JSON.parse(stdout.split('\n').at(-1) ?? '') };
}
const [anna, bob] = [71_001, 71_002];

describe('a release that people must approve (S4-23)', () => {
  it('is refused, and nothing is begun; plan says who is missing', async () => {
    const refused = await lab.json(['deploy', 'v0.9']);
    expect(refused).toMatchObject({ exitCode: 7, document: { error: { code: 'approval_missing' } } });
    expect((await lab.json(['operations'])).documents).toEqual([[]]);
    const { document } = await lab.json(['plan', 'v0.9']);
    expect(document).toMatchObject({ approvals: { verdict: 'inconclusive' } });
    expect(document.steps).toContainEqual(expect.objectContaining({ action: 'require-approvals' }));
    expect(document.notes).toContainEqual(expect.stringContaining('appliance approve v0.9 --role security'));
  });

  it('cannot be approved by root, nor twice by one person', async () => {
    expect(await lab.json(['approve', 'v0.9', '--role', 'security'])).toMatchObject({
      exitCode: 7,
      document: { error: { code: 'not_permitted', message: expect.stringContaining('root is an account') } },
    });
    expect(await as(anna, 'approve', 'v0.9', '--role', 'tech-lead', '--comment', 'read it')).toMatchObject({
      exitCode: 0,
      document: { approvals: [{ role: 'tech-lead', given: { uid: anna, comment: 'read it' } }, { given: null }] },
    });
    expect(await as(anna, 'approve', 'v0.9', '--role', 'security')).toMatchObject({ exitCode: 7 });
    expect(await lab.json(['approve', 'v0.9'])).toMatchObject({ exitCode: 4 });
  });

  it('is bound to what was looked at, and another release needs approvals of its own', async () => {
    expect(await as(bob, 'approve', 'v0.9', '--role', 'security', '--digest', 'deadbeef')).toMatchObject({
      exitCode: 2,
    });
    const { document } = await lab.json(['approve', 'v0.9']);
    const digest = String(document.digest).slice(0, 20);
    expect(await as(bob, 'approve', 'v0.9', '--role', 'security', '--digest', digest)).toMatchObject({ exitCode: 0 });
    expect(await lab.json(['approve', 'v0.9'])).toMatchObject({ exitCode: 0, document: { verdict: 'pass' } });
    expect(await lab.json(['approve', 'v1.0'])).toMatchObject({ exitCode: 4, document: { history: [] } });
  });

  it('loses them with its environment', async () => {
    await appendFile(join(lab.root, 'etc/routing-ml.env'), '\nADDED=1\n');
    expect(await lab.json(['approve', 'v0.9'])).toMatchObject({ exitCode: 4, document: { history: [] } });
    expect(await lab.json(['deploy', 'v0.9'])).toMatchObject({ exitCode: 7 });
  });

  it('goes through with them; what was withdrawn counts no more; each word stands in the audit', async () => {
    await as(anna, 'approve', 'v0.9', '--role', 'tech-lead');
    await as(bob, 'approve', 'v0.9', '--role', 'security');
    await as(bob, 'approve', 'v0.9', '--role', 'security', '--withdraw');
    expect(await lab.json(['deploy', 'v0.9'])).toMatchObject({ exitCode: 7 });
    await as(bob, 'approve', 'v0.9', '--role', 'security');
    const { exitCode, document } = await lab.json(['deploy', 'v0.9']);
    expect(exitCode).toBe(0);
    expect(document.verdicts).toContainEqual(expect.objectContaining({ id: 'S4-23', verdict: 'pass' }));
    expect((await lab.json(['releases', 'show', 'v0.9'])).document).toMatchObject({
      approvals: {
        verdict: 'pass',
        approvals: [
          { role: 'tech-lead', given: { user: expect.any(String) } },
          { role: 'security', given: { user: expect.any(String) } },
        ],
      },
    });
    await as(bob, 'approve', 'v0.9', '--role', 'security', '--withdraw');
    const { stdout } = await lab.run(['releases', 'show', 'v0.9']);
    expect(stdout).toMatch(/Approvals of sha256:[\s\S]*\? +security +–/);
    const { documents } = await lab.json(['audit']);
    const actions = (documents[0] as { action: string; actor: { uid: number } }[]).map(({ action, actor }) => [
      action,
      actor.uid,
    ]);
    expect(actions).toContainEqual(['approve', anna]);
    expect(actions).toContainEqual(['withdraw approval', bob]);
    expect(await lab.json(['audit', 'verify'])).toMatchObject({ exitCode: 0 });
  }, 180_000);
});
