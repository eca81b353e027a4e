import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { connectSocket } from '../../src/api/socket.ts';
import { pathsFor } from '../../src/lib/paths.ts';
import { buildProgram } from '../e2e/program.ts';
import { temporaryRoot } from '../e2e/stage/face.ts';
import { Lab } from '../support/appliance.ts';
import { buildImage } from './test-image.ts';

// DESIGN §8: keys that may only do a part, by a real sshd, a real client and the program as it is installed. Client and
// server are in one container without network; the agent is that of an appliance on this host.
const name = 'gatetest';
const image = 'appliance-test/sshd:1';
const container = `${name}-sshd`;
const timeout = 600_000;
const program = temporaryRoot();
let lab: Lab;

/** Lines of authorized_keys as the guide shows them. */
const gates = {
  night: `--allow status,logs,'backup list','audit verify',deploy`,
  reader: '',
  broken: '--allow status,lgos',
} as const;
type Key = keyof typeof gates;

const inside = (...args: string[]) => execa('docker', ['exec', container, ...args]);

beforeAll(async () => {
  await buildImage(image, join(import.meta.dirname, 'sshd'));
  const entry = buildProgram(program.root);
  lab = await Lab.make({ name, port: 29_700, pool: '10.188.0.0/16', entry });
  await lab.startAgent();
  const ssh = join(lab.root, 'ssh');
  await mkdir(ssh);
  const node = process.execPath;
  await writeFile(
    join(ssh, 'appliance'),
    `#!/bin/sh\nAPPLIANCE_ROOT=${lab.root} exec ${node} --no-warnings ${entry} "$@"\n`,
    { mode: 0o755 },
  );
  await writeFile(
    join(ssh, 'sshd_config'),
    'ListenAddress 127.0.0.1\nHostKey /etc/ssh/host\nPermitRootLogin forced-commands-only\nPasswordAuthentication no\nUsePAM no\nSubsystem sftp internal-sftp\n',
  );
  const mounts = [lab.root, `${dirname(node)}:${dirname(node)}:ro`, `${program.root}:${program.root}:ro`];
  await execa('docker', [
    ...['run', '--detach', '--init', '--name', container, '--network', 'none'],
    ...mounts.flatMap((mount) => ['-v', mount.includes(':') ? mount : `${mount}:${mount}`]),
    image,
  ]);
  await inside('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', '/etc/ssh/host');
  await inside('cp', join(ssh, 'appliance'), '/usr/local/bin/appliance');
  await inside('mkdir', '-p', '-m', '700', '/root/.ssh');
  const lines: string[] = [];
  for (const [key, allow] of Object.entries(gates)) {
    await inside('ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-C', key, '-f', `/root/.ssh/${key}`);
    const { stdout } = await inside('cat', `/root/.ssh/${key}.pub`);
    lines.push(`restrict,command="/usr/local/bin/appliance ssh-gate ${allow}" ${stdout}`);
  }
  await writeFile(join(ssh, 'authorized_keys'), `${lines.join('\n')}\n`);
  await inside('cp', join(ssh, 'authorized_keys'), '/root/.ssh/authorized_keys');
  await inside('/usr/sbin/sshd', '-f', join(ssh, 'sshd_config'), '-E', '/var/log/sshd.log');
  // It goes into the background first and listens then.
  await vi.waitFor(() => inside('bash', '-c', ': </dev/tcp/127.0.0.1/22'), { timeout: 60_000, interval: 200 });
}, timeout);
afterAll(async () => {
  await lab?.destroy();
  program.remove();
}, timeout);

/** `ssh -T HOST COMMAND` with one of the keys. */
const ssh = async (key: Key, command: readonly string[], client: readonly string[] = ['ssh', '-T']) => {
  const [file = 'ssh', ...more] = client;
  const options = [
    ...['-i', `/root/.ssh/${key}`, '-o', 'IdentitiesOnly=yes', '-o', 'BatchMode=yes'],
    ...['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR'],
  ];
  const argv = ['exec', container, file, ...more, ...options, 'root@127.0.0.1', ...command];
  const { exitCode, stdout, stderr } = await execa('docker', argv, { reject: false, stdin: 'ignore', timeout: 60_000 });
  return { exit: exitCode, stdout, stderr };
};

const auditSchema = z.array(
  z.object({
    action: z.string(),
    target: z.string().nullable(),
    result: z.string(),
    actor: z.object({ uid: z.number(), ssh: z.string().nullable() }),
  }),
);
const audited = async () => auditSchema.parse(JSON.parse((await lab.run(['audit', '--json'])).stdout));

describe('a key with a list', { timeout }, () => {
  it('runs the verbs on it, with their options, output and exit status', async () => {
    const direct = await lab.run(['status', '--json']);
    const gate = await ssh('night', ['status', '--json']);
    expect({ exit: gate.exit, stderr: gate.stderr }).toEqual({ exit: direct.exitCode, stderr: '' });
    expect(JSON.parse(gate.stdout)).toMatchObject({ name });
    const { exitCode } = await lab.run(['audit', 'verify']);
    expect(await ssh('night', ['appliance', 'audit', 'verify'])).toMatchObject({ exit: exitCode, stderr: '' });
    expect((await ssh('night', ['status', '--help'])).stdout).toContain('Usage: appliance status');
  });

  it('is known by its account and address in the audit of what it does', async () => {
    expect(await ssh('night', ['deploy', 'v99.9', '--json'])).toMatchObject({ exit: 6 });
    expect(await audited()).toContainEqual(
      expect.objectContaining({
        action: 'deploy',
        result: 'begun',
        actor: expect.objectContaining({ uid: 0, ssh: '127.0.0.1' }),
      }),
    );
  });

  it('is refused everything else, which stands in the audit', async () => {
    const { exit, stdout, stderr } = await ssh('night', ['down', '--volumes', '--yes', '--token=planted-secret-value']);
    expect({ exit, stdout }).toEqual({ exit: 7, stdout: '' });
    expect(stderr).toContain('allowed are: status, logs, backup list, audit verify, deploy');
    expect((await ssh('night', ['status', '--root', '/'])).exit).toBe(7);
    const document: unknown = JSON.parse((await ssh('night', ['exec', 'backend', '--json'])).stdout);
    expect(document).toMatchObject({ error: { code: 'not_permitted', exit: 7 } });
    const entries = (await audited()).filter(({ action }) => action === 'ssh-gate');
    expect(entries.map(({ target }) => target)).toEqual(
      expect.arrayContaining([
        expect.stringContaining('down --volumes --yes --token'),
        'status --root /',
        'exec backend --json',
      ]),
    );
    expect(JSON.stringify(entries)).not.toContain('planted-secret-value');
    for (const entry of entries)
      expect(entry).toMatchObject({ result: 'refused', actor: { uid: 0, ssh: '127.0.0.1' } });
  });

  it('never reaches a shell', async () => {
    const trace = join(lab.root, 'ssh', 'trace');
    const tries = [
      `status; touch ${trace}`,
      `status && touch ${trace}`,
      `status $(touch ${trace})`,
      `status "\`touch ${trace}\`"`,
      `status > ${trace}`,
      `status\ntouch ${trace}`,
      `touch ${trace}`,
      `sh -c 'touch ${trace}'`,
    ];
    for (const command of tries) expect([command, (await ssh('night', [command])).exit]).toEqual([command, 7]);
    expect(existsSync(trace)).toBe(false);
  });

  it('gets no login, no terminal and no files', async () => {
    const { exit, stdout, stderr } = await ssh('night', []);
    expect({ exit, stdout }).toEqual({ exit: 7, stdout: '' });
    expect(stderr).toContain('allowed are: status');
    // `restrict`: no terminal.
    expect(await ssh('night', ['status'], ['ssh', '-tt'])).toMatchObject({ exit: 255, stdout: '' });
    expect((await ssh('night', [], ['sftp', '-b', '/dev/null'])).exit).not.toBe(0);
    expect((await audited()).map(({ target }) => target)).toEqual(
      expect.arrayContaining(['(a shell)', 'internal-sftp']),
    );
  });
});

describe('a key without a list', { timeout }, () => {
  it('looks, and changes nothing', async () => {
    expect(JSON.parse((await ssh('reader', ['status', '--json'])).stdout)).toMatchObject({ name });
    expect((await ssh('reader', ['audit', 'verify'])).exit).toBe(0);
    for (const command of ['deploy v1.0', 'backup key', 'doctor --fix', 'config check /etc/shadow']) {
      expect([command, (await ssh('reader', [command])).exit]).toEqual([command, 7]);
    }
  });
});

describe('a line with a mistake', { timeout }, () => {
  it('allows nothing and says what was meant', async () => {
    const { exit, stderr } = await ssh('broken', ['status']);
    expect(exit).toBe(2);
    expect(stderr).toContain('did you mean logs');
  });
});

describe('an agent that is told of many refusals', { timeout }, () => {
  it('keeps those of a minute to a number, so that nothing is buried under them', async () => {
    const client = await connectSocket(pathsFor(lab.root));
    const answers: boolean[] = [];
    for (let attempt = 0; attempt < 40; attempt += 1) {
      answers.push((await client?.ask('gateRefused', { command: `attempt ${attempt}` }))?.noted ?? false);
    }
    await client?.close();
    const kept = (await audited()).filter(({ action }) => action === 'ssh-gate');
    expect(answers.at(-1)).toBe(false);
    expect(kept.length).toBeLessThan(60);
    expect((await lab.run(['audit', 'verify'])).exitCode).toBe(0);
  });
});
