import { describe, expect, it } from 'vitest';
import { assertEngineAccess } from '../../src/cli/verbs/engine-access.ts';

/** A system in which some sockets are refused, and the `docker` command talks to an address. */
const system = (refused: Readonly<Record<string, string>>, address = 'unix:///var/run/docker.sock') => ({
  mayUse: async (socket: string) => {
    const code = refused[socket];
    if (code !== undefined) throw Object.assign(new Error(code), { code });
  },
  engineAddress: async () => address,
});
const usual = '/var/run/docker.sock';

describe('exec and the rights of its caller', () => {
  it.each([
    ['the usual socket', undefined, system({ [usual]: 'EACCES' }), usual],
    ['no variable at all', '', system({ [usual]: 'EPERM' }), usual],
    ['the socket of a variable', 'unix:///x.sock', system({ '/x.sock': 'EACCES' }), '/x.sock'],
    [
      'the socket of a context',
      undefined,
      system({ [usual]: 'EACCES', '/c.sock': 'EACCES' }, 'unix:///c.sock'),
      '/c.sock',
    ],
  ])('%s is not permitted', async (_, host, ways, socket) => {
    await expect(assertEngineAccess(host, ways)).rejects.toMatchObject({
      code: 'not_permitted',
      exit: 7,
      message: expect.stringContaining(socket),
      hint: expect.stringContaining('sudo'),
    });
  });

  it.each([
    ['a socket that may be used', undefined, system({})],
    ['an engine that is not there, for docker to report', undefined, system({ [usual]: 'ENOENT' })],
    ['an engine elsewhere', 'ssh://other', system({ [usual]: 'EACCES' })],
    ['a context that points to one that may be used', undefined, system({ [usual]: 'EACCES' }, 'unix:///c.sock')],
  ])('%s is left alone', async (_, host, ways) => {
    await expect(assertEngineAccess(host, ways)).resolves.toBeUndefined();
  });
});
