import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { newKey, selfSigned } from '../../src/capabilities/certificates/self-signed.ts';
import { type AcmeOrder, AcmeServer, type AcmeTransport, acmeTransport } from '../../src/host/acme.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { FaultyAuthority, plain, problem } from '../support/acme-faults.ts';
import { sign } from '../support/chains.ts';
import { context, IssuingLab, loopbackNames, setOf } from '../support/issuing.ts';

let lab: IssuingLab;
let authority: FaultyAuthority;
const day = 86_400_000;
const hour = 3_600_000;

beforeEach(async () => {
  lab = await IssuingLab.make();
  authority = await FaultyAuthority.start();
});
afterEach(async () => {
  await authority.stop();
  await lab.close();
});

const directory = 'https://ca.example/dir';
/**
 * appliance.yaml wants HTTPS; what this then asks is the faulty one.
 * @param silent what gets no answer, which is not waited for long
 */
function transport(silent = /^$/): AcmeTransport {
  const [usual, short] = [acmeTransport({ timeout: 10_000 }), acmeTransport({ timeout: 1_000 })];
  return (url, question) =>
    (silent.test(url) ? short : usual)(url.replace('https://ca.example', authority.base), question);
}
function issuer(acme: Readonly<Record<string, unknown>> = {}, more: Parameters<IssuingLab['issuer']>[1] = {}) {
  return lab.issuer({ directory, patience: '2s', ...acme }, { transport: transport(), ...more });
}
const issue = (acme?: Readonly<Record<string, unknown>>, more?: Parameters<IssuingLab['issuer']>[1]) =>
  issuer(acme, more).issue(setOf(['shop.example']), { replaced: undefined }, context());
const orders = () => authority.asked.filter((path) => path === '/order').length;

describe('what an authority may do that no good one does', () => {
  test('429 with a day of Retry-After: said at once, kept, and no further attempt until then', async () => {
    authority.fault = (_, answer, path) =>
      path === '/order' && problem(answer, 429, 'rateLimited', 'too many certificates', { 'retry-after': '86400' });
    const began = performance.now();
    await expect(issue()).rejects.toMatchObject({
      code: 'certificate_limited',
      hint: expect.stringMatching(/\(in (24 h|1 d|23 h)/),
    });
    expect(performance.now() - began).toBeLessThan(15_000);
    // A process that knows nothing of the one before it.
    authority.fault = () => false;
    await expect(issue()).rejects.toMatchObject({
      code: 'certificate_limited',
      message: expect.stringContaining('Retry-After'),
    });
    expect(orders()).toBe(1);
    const { retryAt = 0 } = lab.log.spent(directory, ['shop.example'], Date.now());
    expect(Math.abs(retryAt - Date.now() - day)).toBeLessThan(hour);
  });

  for (const [what, times, why] of [
    ['twelve times', 12, 'the order is ready yet'],
    ['for ever', Number.POSITIVE_INFINITY, 'nonce 21 is not known'],
  ] as const)
    test(`a nonce that is rejected ${what} is asked for anew, twenty times at most`, async () => {
      let rejected = 0;
      authority.fault = (_, answer, path) => {
        if (path !== '/order' || rejected >= times) return false;
        rejected += 1;
        return problem(answer, 400, 'badNonce', `nonce ${rejected} is not known`);
      };
      // The faulty one never finishes an order; here it matters how far one comes.
      await expect(issue()).rejects.toMatchObject({ message: expect.stringContaining(why) });
      expect(rejected).toBe(Math.min(times, 21));
    });

  test('503: later, by a date as well', async () => {
    const at = new Date(Date.now() + 2 * hour).toUTCString();
    authority.fault = (_, answer, path) => path === '/nonce' && plain(answer, 503, 'busy', { 'retry-after': at });
    await expect(issue()).rejects.toMatchObject({
      code: 'certificate_limited',
      hint: expect.stringMatching(/\(in (2 h|1 h 59)/),
    });
    expect(orders()).toBe(0);
  });

  test('silence ends with a deadline, and the attempt is not lost', async () => {
    authority.fault = (_, __, path) => path === '/order/1' || path === '/finalize';
    await expect(issue({}, { transport: transport(/\/(order\/1|finalize)$/) })).rejects.toMatchObject({
      code: 'authority_unreachable',
      message: expect.stringContaining('no answer within 1 s'),
    });
    expect(await readdir(join(lab.root, 'certificates/orders'))).toEqual(['edge.json', 'edge.key.pem']);
    authority.fault = () => false;
    authority.orderStates = ['processing'];
    await expect(issue()).rejects.toMatchObject({ code: 'certificate_limited' });
    // The order under way was gone on with.
    expect(orders()).toBe(1);
  });

  test('an order that stays ready: given up in time, asked to finalise once, gone on with next time', async () => {
    await expect(issue()).rejects.toMatchObject({ message: expect.stringContaining('the order is ready') });
    expect(authority.asked.filter((path) => path === '/finalize')).toHaveLength(1);
    expect(orders()).toBe(1);
  });

  test('a chain that is of another key is never stored', async () => {
    authority.orderStates = ['valid'];
    authority.chain = (await selfSigned(['shop.example'], Date.now())).chain;
    await expect(issue()).rejects.toMatchObject({
      code: 'certificate_refused',
      message: expect.stringContaining('the key does not belong to the certificate'),
    });
    expect(await lab.store.list('edge')).toEqual([]);
    // The same order would give the same again.
    expect(await readdir(join(lab.root, 'certificates/orders'))).toEqual([]);
  });

  test('a web server that is no authority', async () => {
    authority.fault = (_, answer, path) => path === '/dir' && plain(answer, 200, '<h1>It works</h1>');
    await expect(issue()).rejects.toMatchObject({
      code: 'authority_unreachable',
      message: expect.stringContaining('is no ACME directory'),
    });
    authority.fault = (_, answer, path) => path === '/dir' && plain(answer, 404, 'no');
    await expect(issue()).rejects.toMatchObject({ hint: expect.stringContaining('certificates.acme.directory') });
    expect(orders()).toBe(0);
  });

  test('an answer of another shape', async () => {
    authority.orderStates = ['sleeping'];
    await expect(issue()).rejects.toMatchObject({
      code: 'authority_unreachable',
      message: expect.stringContaining('another shape'),
    });
  });

  test('nothing listens', async () => {
    await authority.stop();
    await expect(issue()).rejects.toMatchObject({
      code: 'authority_unreachable',
      message: expect.stringContaining('cannot be reached'),
    });
    authority = await FaultyAuthority.start();
  });

  test('a profile that it has is asked for, another is refused before an attempt', async () => {
    authority.meta = { profiles: { classic: '', shortlived: '' } };
    const wanting = (profile: string) =>
      issuer().issue(setOf(['shop.example'], { profile }), { replaced: undefined }, context());
    await expect(wanting('shortlifed')).rejects.toMatchObject({
      code: 'config_invalid',
      hint: expect.stringContaining('shortlived'),
    });
    expect(orders()).toBe(0);
    await expect(wanting('shortlived')).rejects.toMatchObject({ code: 'certificate_limited' });
    expect(orders()).toBe(1);
  });

  test('renewal information that is malformed, absent or slow changes nothing', async () => {
    let ask = transport();
    const server = await AcmeServer.open({
      directory: `${authority.base}/dir`,
      accountKey: await newKey('ec-p256'),
      transport: (url, question) => ask(url, question),
      now: Date.now,
    });
    const { signal } = context();
    for (const body of ['{"suggestedWindow":{"start":"soon","end":"later"}}', '{}', 'null', '{"suggestedWindow":7']) {
      authority.fault = (_, answer, path) =>
        path.startsWith('/ari') && plain(answer, 200, body, { 'content-type': 'application/json' });
      expect(await server.renewalWindow('id', signal)).toBeUndefined();
    }
    authority.fault = () => false;
    expect(await server.renewalWindow('id', signal)).toBeUndefined();
    authority.fault = (_, __, path) => path.startsWith('/ari');
    ask = transport(/\/ari/);
    await expect(server.renewalWindow('id', signal)).rejects.toMatchObject({ failure: 'unreachable' });
  });

  // Pebble shows a certificate a moment before it knows the order of it.
  test.each([
    ['alreadyReplaced', 409],
    ['serverInternal', 500],
  ])('the order is placed without what it replaces where that is answered with %s', async (type, status) => {
    const now = Date.now();
    const span = { from: now - hour, until: now + day };
    const by = await sign({ name: 'Root', ...span });
    const leaf = await sign({ name: 'shop.example', by, domains: ['shop.example'], ...span });
    const content = { key: leaf.key, chain: `${leaf.certificate}${by.certificate}` };
    const meta = { kind: 'acme', source: null, directory } as const;
    const replaced = await lab.store.add('edge', { ...content, meta }, ['shop.example'], now);
    authority.fault = (_, answer, path) =>
      path === '/order' && orders() === 1 && problem(answer, status, type, 'no order of that certificate');
    // It issues nothing.
    await expect(issuer().issue(setOf(['shop.example']), { replaced }, context())).rejects.toMatchObject({
      code: 'certificate_limited',
    });
    expect(orders()).toBe(2);
  });

  test('of several chains the one with the wanted issuer is taken, else the first', async () => {
    const now = Date.now();
    const span = { from: now, until: now + day };
    const chainOf = async (root: string): Promise<string> => {
      const by = await sign({ name: root, ...span });
      const between = await sign({ name: 'Intermediate', by, ...span });
      const leaf = await sign({ name: 'shop.example', by: between, domains: ['shop.example'], ...span });
      return `${leaf.certificate}${between.certificate}`;
    };
    const [first, second] = [await chainOf('Young Root'), await chainOf('Old Root')];
    authority.fault = (_, answer, path) => {
      if (!path.startsWith('/certificate')) return false;
      const link = `<${authority.base}/certificate/2>;rel="alternate"`;
      return plain(answer, 200, path.endsWith('/2') ? second : first, { link });
    };
    const server = await AcmeServer.open({
      directory: `${authority.base}/dir`,
      accountKey: await newKey('ec-p256'),
      accountUrl: `${authority.base}/account/1`,
      transport: transport(),
      now: Date.now,
    });
    const order: AcmeOrder = {
      url: `${authority.base}/order/1`,
      status: 'valid',
      finalize: `${authority.base}/finalize`,
      authorizations: [],
      identifiers: [],
      certificate: `${authority.base}/certificate`,
    };
    const taken = (wanted?: string) => server.certificate(order, wanted, context().signal);
    expect(await taken()).toBe(first);
    expect(await taken('Old Root')).toBe(second);
    expect(await taken('Young Root')).toBe(first);
    expect(await taken('Nobody')).toBe(first);
  });

  test.each([
    ['behind', -3 * hour, / behind that of the authority/],
    ['ahead', 400 * day, / ahead of that of the authority/],
  ])('a clock of this host that is %s is told before an attempt is spent', async (_, by, message) => {
    const clock = { ...systemClock, now: () => Date.now() + by };
    await expect(issue({}, { clock })).rejects.toMatchObject({
      code: 'certificate_refused',
      message: expect.stringMatching(message),
      left: 'no attempt was spent',
    });
    expect(orders()).toBe(0);
    expect(lab.database.prepare('SELECT count(*) AS n FROM certificate_events').get()).toEqual({ n: 0 });
  });

  test('a clock that is wrong by minutes keeps nothing back', async () => {
    const clock = { ...systemClock, now: () => Date.now() - 20 * 60_000 };
    await expect(issue({}, { clock })).rejects.toMatchObject({ code: 'certificate_limited' });
    expect(orders()).toBe(1);
  });

  test('whoever waits may go away at any time', async () => {
    authority.fault = (_, __, path) => path === '/order';
    const abort = new AbortController();
    const work = issuer().issue(
      setOf(['shop.example']),
      { replaced: undefined },
      { signal: abort.signal, progress: () => undefined },
    );
    setTimeout(() => abort.abort(new Error('gone')), 200);
    await expect(work).rejects.toThrow('gone');
  });
});

describe('a look before an attempt is spent', () => {
  test.each([
    ['no address', { addresses: async () => [] }, /has no address/],
    [
      'a name service that is down',
      { addresses: async () => Promise.reject(new Error('ESERVFAIL')) },
      /does not answer for A and AAAA/,
    ],
  ])('%s', async (_, names, message) => {
    await expect(issue({}, { names: { ...loopbackNames, ...names } })).rejects.toMatchObject({
      code: 'certificate_refused',
      message: expect.stringMatching(message),
      left: 'no attempt was spent',
    });
    expect(orders()).toBe(0);
    expect(lab.log.spent(directory, ['shop.example'], Date.now()).issued).toEqual([]);
  });

  test('a CAA record that forbids this authority, also one of a parent', async () => {
    authority.meta = { caaIdentities: ['ca.example'] };
    const caa = (at: string, value: string) => ({
      names: { ...loopbackNames, caa: async (name: string) => (name === at ? [{ tag: 'issue', value }] : []) },
    });
    await expect(issue({}, caa('shop.example', 'other.example'))).rejects.toMatchObject({
      message: expect.stringContaining('the CAA record of shop.example allows other.example'),
      hint: 'add a CAA record: shop.example. CAA 0 issue "ca.example"',
    });
    await expect(issue({}, caa('example', ';'))).rejects.toMatchObject({
      message: expect.stringContaining('allows nobody'),
    });
    expect(orders()).toBe(0);
    await expect(issue({}, caa('example', 'ca.example; accounturi=x'))).rejects.toMatchObject({
      code: 'certificate_limited',
    });
    expect(orders()).toBe(1);
  });

  test('port 80 that is closed, and another host behind the name', async () => {
    await expect(issue({}, { port: 1 })).rejects.toMatchObject({
      message: expect.stringContaining('does not answer'),
      hint: expect.stringContaining('port 80'),
    });
    const port = Number(new URL(authority.base).port);
    await expect(issue({}, { port })).rejects.toMatchObject({ message: expect.stringContaining('not from this edge') });
    expect(orders()).toBe(0);
  });
});

test('after a failure the staging directory is tried first, and its failure spends nothing', async () => {
  const told = context();
  const careful = issuer({ staging: 'https://ca.example/staging' }).issue(
    setOf(['shop.example']),
    { replaced: undefined, careful: true },
    told,
  );
  await expect(careful).rejects.toMatchObject({ left: expect.stringContaining('stays') });
  expect(told.told[0]).toContain('rehearsing');
  expect(authority.asked).toEqual(['/staging']);
});
