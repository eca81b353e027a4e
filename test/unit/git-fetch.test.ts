import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { SourceRepository } from '../../src/host/git.ts';

/** Bytes of the one file: nothing can compress them. */
const size = 4_000_000;
/** Milliseconds that a repository may say nothing. */
const silence = 5_000;

it('takes as long as it takes while the repository says something', async () => {
  const { url, mirror } = await served({ bytesPerSecond: size / 12 });
  const source = new SourceRepository(url, mirror, silence);
  const begun = performance.now();
  expect(await source.fetch()).toBeUndefined();
  expect(performance.now() - begun, 'it was to take longer than a silent one gets').toBeGreaterThan(2 * silence);
  expect(await source.tags()).toEqual(['v1']);
});

it('gives a repository up that says nothing any more, and says so', async () => {
  const { url, mirror } = await served({ bytesPerSecond: size, most: size / 2 });
  await expect(new SourceRepository(url, mirror, silence).fetch()).rejects.toMatchObject({
    code: 'git_failed',
    message: `the repository ${url} cannot be read: it said nothing for 5 s`,
  });
});

it('says why Git fails, not how far it was', async () => {
  const { url, mirror } = await served({ bytesPerSecond: size, most: size / 2, thenCloses: true });
  await expect(new SourceRepository(url, mirror, silence).fetch()).rejects.toMatchObject({
    message: expect.stringMatching(/cannot be read: fatal: /),
  });
});

it('goes on with the copy of before and says why, without the password of the repository', async () => {
  const { url, mirror } = await served({ bytesPerSecond: Number.POSITIVE_INFINITY });
  await new SourceRepository(url, mirror).fetch();
  const gone = new SourceRepository('http://robot:geheim@127.0.0.1:1/app.git', mirror);
  const unread = await gone.fetch();
  expect(unread).toMatch(/^fatal: unable to access .*127\.0\.0\.1/);
  await expect(gone.commitOf('v2', unread)).rejects.toMatchObject({
    code: 'tag_not_found',
    message: `the repository cannot be read (${unread}), and the copy of it on this host has no tag v2`,
  });
  const nowhere = new SourceRepository('http://robot:geheim@127.0.0.1:1/app.git', join(mirror, '../none.git'));
  const told = await nowhere.fetch().catch((error: Error) => error.message);
  expect(told).toContain('http://***@127.0.0.1:1/app.git');
  expect(told).not.toContain('geheim');
});

/** A repository behind a server that sends so many bytes in a second, and no more than `most`. */
async function served(line: { bytesPerSecond: number; most?: number; thenCloses?: boolean }) {
  const root = mkdtempSync(join(tmpdir(), 'fetch-'));
  const repository = join(root, 'app');
  mkdirSync(repository);
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', repository, '-c', 'user.name=t', '-c', 'user.email=t@example.com', ...args]);
  git('init', '--quiet');
  writeFileSync(join(repository, 'weights.bin'), randomBytes(size));
  git('add', '--all');
  git('commit', '--quiet', '--message', 'one');
  git('tag', 'v1');
  const server = createServer((client) => {
    const daemon = spawn('git', ['daemon', '--inetd', '--export-all', `--base-path=${root}`, root], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    onTestFinished(() => void daemon.kill('SIGKILL'));
    client.on('error', () => undefined);
    client.on('close', () => daemon.kill('SIGKILL'));
    daemon.stdin.on('error', () => undefined);
    client.pipe(daemon.stdin);
    daemon.stdout.pipe(slowly(line)).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.close();
    rmSync(root, { recursive: true });
  });
  const { port } = server.address() as AddressInfo;
  return { url: `git://127.0.0.1:${port}/app`, mirror: join(root, 'mirror.git') };
}

function slowly({ bytesPerSecond, most = Number.POSITIVE_INFINITY, thenCloses = false }: Parameters<typeof served>[0]) {
  let sent = 0;
  return new Transform({
    async transform(chunk: Buffer, _, done) {
      if (sent >= most) {
        if (thenCloses) this.push(null);
        return;
      }
      sent += chunk.length;
      await delay((chunk.length / bytesPerSecond) * 1_000);
      done(null, chunk);
    },
  });
}
