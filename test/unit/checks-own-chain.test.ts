import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ownChain } from '../../src/agent/checks/own-chain.ts';
import { selfSigned } from '../../src/capabilities/certificates/self-signed.ts';
import { CertificateStore } from '../../src/capabilities/certificates/store.ts';
import { certificatesSchema } from '../../src/config/certificates.ts';
import { edgeSchema } from '../../src/config/edge.ts';
import { askBounded } from '../../src/host/http-bounded.ts';

// The page checks of `security` (S1-18) and `https: true` of sequences ask the edge, whoever has signed its certificate.
let edge: string;
beforeEach(() => {
  edge = mkdtempSync(join(tmpdir(), 'own-chain-'));
});
afterEach(() => rmSync(edge, { recursive: true }));

/** Asks a server over TLS. @returns status, or why there was no answer */
async function ask(pair: { key: string; chain: string }, host: string, ca: string | undefined) {
  const server = createServer({ key: pair.key, cert: pair.chain }, (_, response) => response.end('well'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  try {
    const question = { protocol: 'https', address: '127.0.0.1', port, host, method: 'GET', path: '/' } as const;
    const { status } = await askBounded(
      { ...question, headers: {}, ca, timeout: 10_000 },
      new AbortController().signal,
    );
    return status;
  } catch (error) {
    return String(error);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const config = (domains: string[], certificates: unknown = {}) => ({
  edge: edgeSchema.parse({ domains }),
  certificates: certificatesSchema.parse(certificates),
});

it('believes what the store has put in force for a name, and that for no other name', async () => {
  const now = Date.now();
  const store = new CertificateStore({ edge });
  const own = await selfSigned(['shop.lan'], now);
  const { key, chain } = await selfSigned(['other.lan'], now);
  const meta = { kind: 'self-signed', source: null, directory: null } as const;
  await store.adoptFirst(await store.add('shop', { ...own, meta }, ['shop.lan'], now));
  await store.adoptFirst(await store.add('other', { key, chain, meta }, ['other.lan'], now));
  const sets = [
    { name: 'shop', domains: ['shop.lan'] },
    { name: 'other', domains: ['other.lan'] },
  ];
  const parts = { config: config(['shop.lan', 'other.lan'], { issuer: 'self-signed', sets }), paths: { edge } };
  expect(await ask(own, 'shop.lan', await ownChain(parts, 'shop.lan'))).toBe(200);
  expect(await ask({ key, chain }, 'other.lan', await ownChain(parts, 'other.lan'))).toBe(200);
  expect(await ask(own, 'shop.lan', await ownChain(parts, 'other.lan'))).toMatch(/SELF_SIGNED|UNABLE_TO/);
  expect(await ask(own, 'other.lan', await ownChain(parts, 'shop.lan'))).toContain('ERR_TLS_CERT_ALTNAME_INVALID');
});

it('has none before there is a certificate', async () => {
  expect(await ownChain({ config: config(['shop.lan']), paths: { edge } }, 'shop.lan')).toBeUndefined();
});

it('believes a certificate of an authority of its own without the root', async () => {
  const file = (name: string) => join(edge, name);
  const openssl = (...words: string[]) => execFileSync('openssl', words, { stdio: 'pipe' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...key, '-days', '2', '-subj', '/CN=ours', '-keyout', file('ca.key'), '-out', file('ca'));
  openssl('req', ...key, '-subj', '/CN=shop.lan', '-keyout', file('key'), '-out', file('csr'));
  writeFileSync(file('names'), 'subjectAltName=DNS:shop.lan\n');
  const signer = [
    '-CA',
    file('ca'),
    '-CAkey',
    file('ca.key'),
    '-CAserial',
    file('ca.srl'),
    '-CAcreateserial',
    '-extfile',
    file('names'),
  ];
  openssl('x509', '-req', '-days', '1', '-in', file('csr'), '-out', file('leaf'), ...signer);
  const leaf = { key: readFileSync(file('key'), 'utf8'), chain: readFileSync(file('leaf'), 'utf8') };
  expect(await ask(leaf, 'shop.lan', undefined)).toMatch(/UNABLE_TO/);
  expect(await ask(leaf, 'shop.lan', leaf.chain)).toBe(200);
});
