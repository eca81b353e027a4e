import {
  closeSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loginOfCaller } from '../../src/agent/identity.ts';
import type { Caller, Handlers } from '../../src/api/handlers.ts';
import { serve } from '../../src/api/server.ts';
import { type Paths, pathsFor } from '../../src/lib/paths.ts';

/** Only what these tests ask for; every other route would be a defect of the test. */
function handlers(seen: Caller[]): Handlers {
  const known = {
    ping: async (_: unknown, caller: Caller) => {
      seen.push(caller);
      return { version: '1', pid: 1, name: 'test' };
    },
    pin: async (_: unknown, caller: Caller) => {
      seen.push(caller);
      return {
        id: 'a',
        tag: 'v1',
        commit: 'c',
        state: 'live',
        colour: null,
        deployedAt: null,
        actor: null,
        images: [],
        schema: null,
        verdict: null,
        pinned: true,
      };
    },
  };
  return known as unknown as Handlers;
}

describe('the two sockets', () => {
  let root: string;
  let paths: Paths;
  let seen: Caller[];
  let close: () => Promise<void>;
  /** Stands for /proc. */
  const proc = () => join(root, 'proc');
  const start = async () => {
    close = await serve({
      paths,
      handlersFor: async () => handlers(seen),
      groups: { operators: undefined, viewers: undefined },
      userName: (uid) => `user-${uid}`,
      loginOf: (pid, held) => loginOfCaller(pid, held, proc()),
      onError: () => undefined,
    });
  };
  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), 'api-'));
    paths = pathsFor(root);
    seen = [];
    await start();
  });
  afterEach(async () => {
    await close();
    rmSync(root, { recursive: true, force: true });
  });

  const nonce = '0123456789abcdef0123456789abcdef';
  const ask = (socketPath: string, method: string, path: string, body?: string, headers: Record<string, string> = {}) =>
    new Promise<{ status: number; body: Record<string, never> & { error?: { code: string } } }>((resolve, reject) => {
      const asked = request({ socketPath, method, path, headers, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }));
      });
      asked.on('error', reject);
      asked.end(body);
    });
  const pin = JSON.stringify({ tag: 'v1', pinned: true });
  const withNonce = { 'x-appliance-nonce': nonce };
  const makeNonce = () => closeSync(openSync(join(paths.nonces, nonce), 'wx', 0o600));

  it('are closed to everybody but owner and group', () => {
    for (const socket of [paths.operatorSocket, paths.viewerSocket]) expect(statSync(socket).mode & 0o777).toBe(0o660);
    expect(statSync(paths.nonces).mode & 0o7777).toBe(0o1733);
  });

  it('answer what viewers may see on both', async () => {
    for (const socket of [paths.operatorSocket, paths.viewerSocket]) {
      expect(await ask(socket, 'GET', '/ping')).toEqual({ status: 200, body: { version: '1', pid: 1, name: 'test' } });
    }
  });

  it('let nobody operate through the read-only one', async () => {
    makeNonce();
    const answer = await ask(paths.viewerSocket, 'POST', '/releases/pin', pin, withNonce);
    expect(answer).toMatchObject({ status: 403, body: { error: { code: 'not_permitted' } } });
    expect(seen).toEqual([]);
  });

  describe('know who logged in', () => {
    const caller = 4711;
    const process = (login: string, holds: string) => {
      const folder = join(proc(), String(caller));
      mkdirSync(join(folder, 'fd'), { recursive: true });
      writeFileSync(join(folder, 'loginuid'), login);
      symlinkSync('/dev/null', join(folder, 'fd/0'));
      symlinkSync(holds, join(folder, 'fd/19'));
    };
    const actorOf = async (headers: Record<string, string>) => {
      makeNonce();
      await ask(paths.operatorSocket, 'POST', '/releases/pin', pin, { ...withNonce, ...headers });
      return seen.at(-1)?.actor;
    };
    const pid = { 'x-appliance-pid': String(caller) };
    const nonceFile = () => join(paths.nonces, nonce);

    it('where the process that calls holds the file open', async () => {
      process('1000', nonceFile());
      expect(await actorOf(pid)).toMatchObject({ login: { uid: 1000, user: 'user-1000' } });
    });
    it.each([
      ['another process is named, which does not', '1000', () => '/dev/null', pid],
      ['nobody logged in (cron, a container)', '4294967295', nonceFile, pid],
      ['the kernel says something else', 'anna', nonceFile, pid],
      ['the process is not named', '1000', nonceFile, {}],
      ['what is named is no process', '1000', nonceFile, { 'x-appliance-pid': `../${caller}` }],
      ['no such process runs', '1000', nonceFile, { 'x-appliance-pid': '4712' }],
    ])('not where %s', async (_, login, holds, headers) => {
      process(login, holds());
      expect(await actorOf(headers)).not.toHaveProperty('login');
    });
    it('says nothing more where it is the account that acts', async () => {
      process(String(statSync(root).uid), nonceFile());
      expect(await actorOf(pid)).not.toHaveProperty('login');
    });
  });

  it('prove who calls by the owner of a file, and use it up', async () => {
    makeNonce();
    const answer = await ask(paths.operatorSocket, 'POST', '/releases/pin', pin, {
      ...withNonce,
      'x-appliance-ssh': '192.0.2.7',
    });
    expect(answer.status).toBe(200);
    expect(seen[0]?.actor).toEqual({ uid: process.getuid?.(), user: `user-${process.getuid?.()}`, ssh: '192.0.2.7' });
    expect(readdirSync(paths.nonces)).toEqual([]);
    expect((await ask(paths.operatorSocket, 'POST', '/releases/pin', pin, withNonce)).status).toBe(403);
  });

  it.each([
    ['none', {}],
    ['one that does not exist', withNonce],
    ['a path', { 'x-appliance-nonce': '../agent.sock' }],
    ['a name of another shape', { 'x-appliance-nonce': 'root' }],
  ])('refuse %s as proof', async (_, headers) => {
    const answer = await ask(paths.operatorSocket, 'POST', '/releases/pin', pin, headers);
    expect(answer).toMatchObject({ status: 403, body: { error: { code: 'not_permitted' } } });
    expect(seen).toEqual([]);
  });

  it('take no link to a file of somebody else as proof', async () => {
    const theirs = join(root, 'theirs');
    writeFileSync(theirs, '');
    symlinkSync(theirs, join(paths.nonces, nonce));
    expect((await ask(paths.operatorSocket, 'POST', '/releases/pin', pin, withNonce)).status).toBe(403);
    rmSync(join(paths.nonces, nonce));
    linkSync(theirs, join(paths.nonces, nonce));
    expect((await ask(paths.operatorSocket, 'POST', '/releases/pin', pin, withNonce)).status).toBe(403);
    expect(existsSync(theirs)).toBe(true);
  });

  it('keep nothing from the header that is no address', async () => {
    makeNonce();
    await ask(paths.operatorSocket, 'POST', '/releases/pin', pin, { ...withNonce, 'x-appliance-ssh': 'x"; rm -rf /' });
    expect(seen[0]?.actor.ssh).toBeNull();
  });

  it.each([
    ['not JSON', '{'],
    ['the wrong shape', '{"tag":1}'],
    ['too long', JSON.stringify({ tag: 'x'.repeat(100_000), pinned: true })],
  ])('refuse a request that is %s, and go on', async (_, body) => {
    makeNonce();
    const answer = await ask(paths.operatorSocket, 'POST', '/releases/pin', body, withNonce).catch(() => ({
      status: 400,
    }));
    expect(answer.status).toBe(400);
    expect((await ask(paths.operatorSocket, 'GET', '/ping')).status).toBe(200);
  });

  it('know no other path', async () => {
    expect((await ask(paths.operatorSocket, 'GET', '/nothing')).status).toBe(400);
    expect((await ask(paths.operatorSocket, 'DELETE', '/ping')).status).toBe(400);
  });

  it('survive garbage and callers that hang up in the middle', async () => {
    await new Promise<void>((resolve) => {
      const socket = connect(paths.operatorSocket, () => socket.write('\u0000\u0001 garbage\r\n\r\n'));
      socket.resume().on('close', () => resolve());
      socket.on('error', () => undefined);
    });
    const half = connect(paths.operatorSocket, () =>
      half.write('POST /releases/pin HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{'),
    );
    await new Promise((resolve) => setTimeout(resolve, 50));
    half.destroy();
    expect((await ask(paths.operatorSocket, 'GET', '/ping')).status).toBe(200);
  });

  it('refuse a second agent, and replace what a killed one left', async () => {
    await expect(
      serve({
        paths,
        handlersFor: async () => handlers(seen),
        groups: { operators: undefined, viewers: undefined },
        userName: String,
        loginOf: () => undefined,
        onError: () => undefined,
      }),
    ).rejects.toMatchObject({ code: 'busy' });
    await close();
    writeFileSync(paths.operatorSocket, '');
    await start();
    expect((await ask(paths.operatorSocket, 'GET', '/ping')).status).toBe(200);
  });
});
