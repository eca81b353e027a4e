import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { execa } from 'execa';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { unmount } from '../support/mounts.ts';

const repository = join(import.meta.dirname, '..', '..');
const installer = join(repository, 'install.sh');
const service = join(repository, 'packaging', 'service.sh');
const isRoot = process.getuid?.() === 0;

let scratch = '';
beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'install-'));
});
afterEach(async () => {
  await rm(scratch, { recursive: true, force: true });
});

/** Runs a program without a terminal and without stdin, as `ssh -T` does, and returns what it said. */
const run = async (file: string, args: readonly string[], env: Record<string, string> = {}) => {
  const { exitCode, stdout, stderr } = await execa(file, args, {
    reject: false,
    stdin: 'ignore',
    env,
    timeout: 170_000,
    maxBuffer: 10_000_000,
  });
  return { exit: exitCode, stdout, stderr };
};
const install = (args: readonly string[], env?: Record<string, string>) => run(installer, args, env);
const here = (...more: string[]) => ['--prefix', join(scratch, 'opt'), '--root', join(scratch, 'root'), ...more];

/** A Node.js that the installer finds in place, so that a test does not fetch one. */
const provideRuntime = async (prefix: string) => {
  const bin = join(prefix, 'runtime', 'bin');
  await mkdir(bin, { recursive: true });
  await symlink(process.execPath, join(bin, 'node'));
  const { stdout: npm } = await execa('sh', ['-c', 'command -v npm']);
  await symlink(npm, join(bin, 'npm'));
};

/** Arguments of `unshare` for a program with an /etc of its own: other tests install on this host too, and groups come and go. */
const withEtc = (etc: string, ...command: readonly string[]) => {
  const script = 'mount --bind "$1" /etc && shift && exec "$@"';
  return ['--mount', 'sh', '-c', script, 'sh', etc, ...command];
};
const copyEtc = async () => {
  const etc = join(scratch, 'etc');
  await execa('cp', ['--archive', '/etc', etc]);
  return etc;
};

/** Every path with type, mode, size and times: two equal texts mean that nothing was touched. */
const treeOf = async (...paths: string[]) =>
  (await execa('find', [...paths, '-printf', '%p %y %m %s %T@ %C@\\n'], { reject: false })).stdout;

describe('install.sh, command line', () => {
  it('prints its options', async () => {
    const { exit, stdout } = await install(['--help']);
    expect(exit).toBe(0);
    for (const option of ['--demo', '--check', '--prefix', '--root', '--prepare', '--uninstall', '--purge', '--yes']) {
      expect(stdout).toContain(option);
    }
  });

  it.each([
    [['--bogus'], 'unknown option --bogus'],
    [['--prefix'], '--prefix needs a value'],
    [['--prefix', '--demo'], '--prefix needs a value'],
    [['--prefix', '/'], "directory '/'"],
    [['--root', '/a b'], "directory '/a b'"],
    [['--root', '/a$(id)'], "directory '/a$(id)'"],
    [['--prepare', '--with', 'x;id'], "'x;id' is not the name of a package"],
    [['--purge'], '--purge goes with --uninstall'],
    [['--demo', '--uninstall'], '--demo does not go with --uninstall'],
  ])('refuses %j with exit 2', async (args, message) => {
    const { exit, stdout, stderr } = await install(args);
    expect(stderr).toContain(message);
    expect(stdout).toBe('');
    expect(exit).toBe(2);
  });

  it('does nothing when its text was cut off', async () => {
    const text = await readFile(installer, 'utf8');
    const lines = [...text.matchAll(/\n/g)].map((match) => match.index);
    // After each line, and after each of the last characters, where the call of main stands.
    const cuts = [...lines, ...Array.from({ length: 40 }, (_, index) => text.length - 2 - index)];
    await Promise.all(cuts.map((cut) => writeFile(join(scratch, `${cut}.sh`), text.slice(0, cut))));
    const script = 'for file in "$1"/*.sh; do bash "$file" --check 2>/dev/null; done';
    const complete = lines.at(-1);
    await rm(join(scratch, `${complete}.sh`));
    const { stdout } = await run('bash', ['-c', script, 'cuts', scratch]);
    expect(stdout).toBe('');
  });
});

describe('install.sh, a long step', () => {
  it('shows the last line of the command that runs, not the line of the log that names it', async () => {
    const script = `. "$0"; LOG_FILE=${scratch}/log; log '$ npm pack'; last_words; echo fetching >>"$LOG_FILE"; last_words`;
    const { stdout } = await run('bash', ['-c', script, join(repository, 'packaging', 'install', 'report.sh')]);
    expect(stdout).toBe('fetching');
  });
});

describe.runIf(isRoot)('install.sh --check', () => {
  it('says what would be done and changes nothing, without a terminal', async () => {
    const etc = await copyEtc();
    const watched = [scratch, '/opt', '/usr/local/bin'];
    const before = await treeOf(...watched);
    expect(before).toContain(`${etc}/group f`);
    const { exit, stdout } = await run('unshare', withEtc(etc, 'setsid', '--wait', installer, '--check', ...here()));
    expect(exit).toBe(0);
    expect(stdout).toContain('Would be done');
    expect(stdout).toContain(`${scratch}/opt/program`);
    expect(stdout).toContain('appliance/edge:1');
    expect(stdout).not.toContain('reference application');
    expect(stdout).toContain('Nothing was changed');
    expect(await treeOf(...watched)).toBe(before);
    expect((await install(['--check', '--prepare', ...here()])).stdout).toContain('reference application');
    expect((await install(['--check', '--prepare', '--no-engine', ...here()])).stdout).not.toContain('image');
  });
});

describe('install.sh refuses', () => {
  it('a caller who is not root, with exit 7 and the command to type', async () => {
    // The capability lets another user read a checkout below /root; the user id stays what the installer looks at.
    const other =
      '--reuid 65534 --regid 65534 --clear-groups --inh-caps +dac_read_search --ambient-caps +dac_read_search';
    const args = ['--check', ...here()];
    const { exit, stderr } = isRoot
      ? await run('setpriv', [...other.split(' '), installer, ...args])
      : await install(args);
    expect(stderr).toContain('needs root');
    expect(stderr).toContain(`sudo ${installer} --check`);
    expect(stderr).toContain('Nothing was changed');
    expect(exit).toBe(7);
  });

  it('an architecture that it does not know', async () => {
    await writeFile(join(scratch, 'uname'), '#!/bin/sh\necho riscv64\n', { mode: 0o755 });
    const { exit, stderr } = await install(['--check', ...here()], { PATH: `${scratch}:${process.env.PATH}` });
    expect(stderr).toContain('riscv64 is not supported');
    expect(exit).toBe(isRoot ? 1 : 7);
  });

  it.runIf(isRoot)('a system that is no relative of Debian', async () => {
    await writeFile(join(scratch, 'os-release'), 'ID=alpine\nVERSION_ID=3.20\nPRETTY_NAME="Alpine Linux v3.20"\n');
    const script = 'mount --bind "$1" "$(readlink -f /etc/os-release)" && shift && exec "$@"';
    const inner = [join(scratch, 'os-release'), installer, '--check', ...here()];
    const { exit, stderr } = await run('unshare', ['--mount', 'sh', '-c', script, 'sh', ...inner]);
    expect(stderr).toContain('Alpine Linux v3.20 is not supported');
    expect(exit).toBe(1);
  });

  it.runIf(isRoot)('a disk that is too small, with both numbers', async () => {
    const script = 'mount -t tmpfs -o size=20m none "$1" && shift && exec "$@"';
    const inner = [scratch, installer, '--check', ...here()];
    const { exit, stderr } = await run('unshare', ['--mount', 'sh', '-c', script, 'sh', ...inner]);
    expect(stderr).toMatch(new RegExp(`too little disk: ${scratch} has 20 MB free, [0-9]{3,} MB are needed`));
    expect(exit).toBe(1);
  });

  it.runIf(isRoot)('a port that is taken, and says by whom', async () => {
    const server = createServer();
    const listening = new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(8080, '127.0.0.1', () => resolve(true));
    });
    const ours = await listening;
    try {
      const { exit, stderr } = await install(['--check', '--demo', ...here()]);
      expect(stderr).toMatch(
        ours ? new RegExp(`port 8080 is taken by process ${process.pid} \\(`) : /port 8080 is taken by \S/,
      );
      expect(exit).toBe(1);
    } finally {
      server.close();
    }
  });

  it.runIf(isRoot)('to put the demo into the place of another application', async () => {
    await mkdir(join(scratch, 'root', 'etc'), { recursive: true });
    await writeFile(join(scratch, 'root', 'etc', 'appliance.yaml'), 'name: other\n');
    const { exit, stderr } = await install(['--check', '--demo', ...here()]);
    expect(stderr).toContain('belongs to another application');
    expect(exit).toBe(2);
  });

  it.runIf(isRoot)('to purge without a confirmation', async () => {
    await mkdir(join(scratch, 'root', 'lib'), { recursive: true });
    const { exit, stderr } = await install(['--uninstall', '--purge', ...here()]);
    expect(stderr).toContain('--yes');
    expect(exit).toBe(2);
    expect(await treeOf(join(scratch, 'root', 'lib'))).not.toBe('');
  });
});

describe.runIf(isRoot)('install.sh and an engine of its own', () => {
  // In a network namespace of its own: a second engine without a bridge deletes the docker0 of the first.
  const apart = (file: string, args: readonly string[], env: Record<string, string>) =>
    run('unshare', ['--net', file, ...args], env);
  const engine = () => {
    const socket = `unix://${scratch}/e.sock`;
    const options = `--host ${socket} --data-root ${scratch}/data --exec-root ${scratch}/exec --pidfile ${scratch}/e.pid --bridge none --iptables=false`;
    return { DOCKER_HOST: socket, APPLIANCE_DOCKERD_OPTIONS: options };
  };

  it('starts it, restarts it after a kill and stops it', async () => {
    const env = engine();
    const options = ['--run', join(scratch, 'run'), '--log', join(scratch, 'log')];
    try {
      expect(await apart(service, ['start-engine', ...options], env)).toMatchObject({ exit: 0 });
      const pid = Number(await readFile(join(scratch, 'e.pid'), 'utf8'));
      process.kill(pid, 'SIGKILL');
      // Until then nobody has started it again: the file of the one that was killed is empty for a moment.
      const restarted = async () => Number(await readFile(join(scratch, 'e.pid'), 'utf8'));
      await expect.poll(async () => ![0, pid].includes(await restarted()), { timeout: 60_000 }).toBe(true);
      await expect
        .poll(async () => (await run('docker', ['version'], env)).exit, { timeout: 60_000, interval: 500 })
        .toBe(0);
    } finally {
      expect(await run(service, ['stop-engine', ...options], env)).toMatchObject({ exit: 0 });
      // The engine that was killed could not take its mount away.
      unmount(join(scratch, 'data'));
    }
    expect((await run('docker', ['version'], env)).exit).not.toBe(0);
    // containerd is dockerd's child and goes with it, a moment later.
    await expect.poll(async () => (await run('pgrep', ['-f', scratch])).stdout, { timeout: 30_000 }).toBe('');
  });

  it('starts it over pidfiles that a killed engine left and whose numbers other processes have now', async () => {
    const env = engine();
    const options = ['--run', join(scratch, 'run'), '--log', join(scratch, 'log')];
    await mkdir(join(scratch, 'exec', 'containerd'), { recursive: true });
    for (const file of ['e.pid', 'exec/containerd/containerd.pid']) {
      await writeFile(join(scratch, file), String(process.pid));
    }
    try {
      expect(await apart(service, ['start-engine', ...options], env)).toMatchObject({ exit: 0 });
    } finally {
      expect(await run(service, ['stop-engine', ...options], env)).toMatchObject({ exit: 0 });
    }
  });

  it('that does not start: shows its last lines, what was changed and how to go on; exit 8', async () => {
    const env = engine();
    env.APPLIANCE_DOCKERD_OPTIONS = env.APPLIANCE_DOCKERD_OPTIONS.replace(`${scratch}/data`, '/dev/null/data');
    const prefix = join(scratch, 'opt');
    await provideRuntime(prefix);
    const { exit, stderr } = await apart(installer, ['--prepare', '--prefix', prefix], env);
    expect(stderr).toContain('/dev/null/data');
    expect(stderr).toContain('the Docker Engine does not start');
    expect(stderr).toContain('Nothing was changed, apart from the log');
    expect(stderr).toContain(`run again:  ${installer} --prepare`);
    expect(exit).toBe(8);
    expect((await run('pgrep', ['-f', join(scratch, 'e.sock')])).stdout).toBe('');
  });
});

/** A copy of the sources, so that work on the checkout meanwhile does not look like an upgrade. */
const copySources = async () => {
  const copy = join(scratch, 'source');
  await mkdir(copy);
  const script = 'git ls-files -co --exclude-standard -z | tar -c --null --ignore-failed-read -T - | tar -x -C "$1"';
  await execa('sh', ['-c', script, 'sh', copy], { cwd: repository });
  await symlink(join(repository, 'node_modules'), join(copy, 'node_modules'));
  // An edge of its own name, so that the one of this host may stay.
  const image = `appliance/edge:test-${process.pid}`;
  const dockerfile = join(copy, 'nginx', 'Dockerfile');
  const text = await readFile(dockerfile, 'utf8');
  await writeFile(dockerfile, text.replace(/^# image: .*/, `# image: ${image}`));
  return { installer: join(copy, 'install.sh'), image };
};

/** Configuration of a project that nobody has deployed. */
const ownProject = `name: own-${process.pid}
source: { repository: /nowhere }
services: { web: { role: app } }
routes: [{ path: /, service: web, port: 80 }]
`;

describe.runIf(isRoot)('install.sh, a whole life without the demo', () => {
  it('installs, finds nothing to change, upgrades, uninstalls', async () => {
    const prefix = join(scratch, 'opt');
    const { installer: copied, image } = await copySources();
    const etc = await copyEtc();
    const env = { EDGE_IMAGE: image };
    const apart = (...words: readonly string[]) => run('unshare', withEtc(etc, ...words), env);
    const install = (args: readonly string[]) => apart(copied, ...args);
    const imageExists = async () => (await run('docker', ['image', 'inspect', image])).exit === 0;
    const groups = () => readFile(join(etc, 'group'), 'utf8');
    const groupsBefore = await groups();
    await provideRuntime(prefix);
    expect(await install(here())).toMatchObject({ exit: 0, stderr: '' });

    const command = join(prefix, 'bin', 'appliance');
    const { version }: { version: string } = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8'));
    expect((await run(command, ['--version'])).stdout).toContain(version);
    expect(await imageExists()).toBe(true);

    const begun = performance.now();
    const before = await treeOf(prefix, join(scratch, 'root'));
    const second = await install(here());
    expect(second.stdout).toContain('nothing to change');
    expect(second.exit).toBe(0);
    expect(performance.now() - begun).toBeLessThan(60_000);
    expect(await treeOf(prefix, join(scratch, 'root'))).toBe(before);

    // While another one is at work, an installation waits for its end, and a removal is refused.
    const other = execa('flock', [prefix, 'sh', '-c', 'echo at work; read -r _']);
    await once(other.stdout, 'data');
    expect(await install(['--uninstall', ...here()])).toMatchObject({
      exit: 5,
      stderr: expect.stringContaining('another install.sh is at work'),
    });
    const waiting = execa('unshare', withEtc(etc, copied, ...here()), { env, stdin: 'ignore', timeout: 170_000 });
    let third = '';
    waiting.stdout.on('data', (piece: Buffer) => {
      third += piece.toString();
    });
    await expect.poll(() => third, { timeout: 60_000 }).toContain('waiting for its end');
    expect(third).not.toContain('nothing to change');
    other.stdin.end('\n');
    expect((await waiting).stdout).toMatch(/waiting for its end[\s\S]*nothing to change/);
    expect((await other).exitCode).toBe(0);

    // Without the image of the edge nothing can be deployed, so a repetition brings it back.
    await execa('docker', ['image', 'rm', image]);
    expect((await install(['--check', ...here()])).stdout).toContain(`build the images that are missing (${image})`);
    expect(await install(here())).toMatchObject({ exit: 0, stderr: '' });
    expect(await imageExists()).toBe(true);

    // An own project that was never deployed: the agent runs, and that is all there is to do.
    await writeFile(join(scratch, 'root', 'etc', 'appliance.yaml'), ownProject);
    await mkdir(join(scratch, 'root', 'lib', 'releases', 'of-a-deploy-that-failed'), { recursive: true });
    expect(await install(here())).toMatchObject({ exit: 0, stderr: '' });
    expect((await install(here())).stdout).toContain('nothing to change');

    // A program that is not the current one is replaced, and the one before it is kept.
    const program = (await execa('readlink', [join(prefix, 'program')])).stdout;
    await execa('mv', [join(prefix, program), join(prefix, 'programs', '0.0.0-older')]);
    await rm(join(prefix, 'program'));
    await symlink('programs/0.0.0-older', join(prefix, 'program'));
    expect(await install(here())).toMatchObject({ exit: 0, stderr: '' });
    expect((await execa('readlink', [join(prefix, 'program')])).stdout).toBe(program);
    expect((await run(command, ['--version'])).exit).toBe(0);

    // The command removes the very program that it is, with its Node.js.
    const removed = await apart(command, 'uninstall', '--yes', '--json');
    expect(removed).toMatchObject({ exit: 0 });
    const root = join(scratch, 'root');
    expect(JSON.parse(removed.stdout)).toMatchObject({ result: 'done', prefix, root, purged: false });
    expect(JSON.parse(removed.stdout).kept).toEqual(expect.arrayContaining([join(root, 'etc'), join(root, 'lib')]));
    expect(removed.stderr).toContain('Left alone: the Docker Engine');
    await expect.poll(async () => (await run('pgrep', ['-f', prefix])).stdout, { timeout: 30_000 }).toBe('');
    expect(await treeOf(dirname(command), join(prefix, 'program'), join(prefix, 'runtime'))).toBe('');
    // The groups stay while another appliance of this host runs, whose sockets belong to them.
    const others = async () =>
      (await run('sh', ['-c', "grep -alE 'dist/appliance.js.agent' /proc/[0-9]*/cmdline"])).stdout;
    const alone = (await others()) === '';
    expect(await install(['--uninstall', '--purge', '--yes', ...here()])).toMatchObject({ exit: 0, stderr: '' });
    if (alone && (await others()) === '') expect(await groups()).toBe(groupsBefore);
    expect(await treeOf(prefix, join(scratch, 'root'))).toBe('');
    await run('docker', ['image', 'rm', image]);
    expect((await install(['--uninstall', ...here()])).stdout).toContain('nothing to change');
  }, 600_000);
});
