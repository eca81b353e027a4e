import { X509Certificate } from 'node:crypto';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Lab } from '../support/appliance.ts';
import { buildProgram } from './program.ts';
import { temporaryRoot } from './stage/face.ts';

// Bundled code is not the code that the other tests run: a package may be there and lack what it exports.
const place = temporaryRoot();
let lab: Lab;

beforeAll(async () => {
  const entry = buildProgram(place.root);
  lab = await Lab.make({ name: 'installedtest', port: 29_750, pool: '10.189.0.0/16', entry });
});
afterAll(async () => {
  await lab?.destroy();
  place.remove();
});

it('the agent of the program as it is installed starts and makes the certificate that signs itself', async () => {
  await lab.startAgent();
  const pem = readFileSync(join(lab.root, 'lib/edge/certs/edge/current/chain.pem'), 'utf8');
  expect(new X509Certificate(pem).subject).toContain('self-signed');
});

it('the same program speaks ACME: an authority that nobody can reach is all that is in the way', async () => {
  const authority = 'certificates: { acme: { directory: "https://127.0.0.1:9/directory", preflight: false } }';
  appendFileSync(lab.config, `\n${authority}\n`);
  const yaml = readFileSync(lab.config, 'utf8').replace(/^edge: \{/m, '$& domains: [shop.lan],');
  writeFileSync(lab.config, yaml);
  await lab.stopAgent();
  const { exitCode, document } = await lab.json(['certs', 'issue', '--yes']);
  expect({ exitCode, document }).toMatchObject({ exitCode: 1 });
  expect(JSON.stringify(document)).toContain('ECONNREFUSED');
});
