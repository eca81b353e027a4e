import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { run } from '../../src/host/process.ts';
import { context, type EdgeLab, openLab } from './edge-lab.ts';
import { layPair, newAuthority } from './edge-pair.ts';
import { buildImage } from './test-image.ts';

const image = 'appliance-test/testssl:1';
const container = 'edgetest-testssl-run';
const findingSchema = z.object({ id: z.string(), severity: z.string(), finding: z.string() });
/** What testssl calls no more than a remark. */
const harmless = ['OK', 'INFO', 'LOW'];
/** What it says of itself: its own OpenSSL has no engines, and there is no ticket that it could try. */
const ofItself = ['engine_problem', 'sessionresumption_ticket'];
/** All that a grade needs: protocols, ciphers, forward secrecy, server defaults, headers, vulnerabilities. */
const checks = ['-p', '-s', '-f', '-S', '-h', '-U'];

// S1-17, S1-18, S2-33, S4-4: what others would say of the edge from outside, with a chain that they trust.
describe('testssl.sh has nothing to say against the edge (S2-33, S4-4)', () => {
  let lab: EdgeLab;
  const domain = 'edge.example.org';
  const overrides = { edge: { domains: [domain] } };

  beforeAll(async () => {
    await buildImage(image, join(import.meta.dirname, 'testssl'));
    lab = await openLab({ name: 'testssl', net: 82, http: 18182, https: 18183, config: overrides });
    await lab.startRelease('blue', 'v1', 11);
    await configure(lab.traffic);
    await lab.shift('blue', 'blue', 'v1');
  }, 600_000);
  afterAll(() => lab?.close());

  const configure = (traffic: EdgeLab['traffic']) => {
    const topologies = lab.topologies({ blue: { release: 'v1', addresses: [lab.address('blue', 11)] } });
    return traffic.configureEdge.bind({ topologies }).apply(context());
  };

  test('a trusted certificate: no finding above LOW, and the grade A+', async () => {
    const authority = await newAuthority();
    const pair = await authority.issue([domain]);
    await layPair(lab.paths, 'edge', 'v1', pair);
    const args = { set: 'edge', version: 'v1', from: null, serial: pair.serial, domains: [domain] };
    await lab.traffic.installCertificate.bind(args).apply(context());
    const out = join(lab.root, 'testssl');
    await mkdir(out, { recursive: true });
    await writeFile(join(out, 'authority.pem'), authority.pem);
    const { exitCode, stdout, stderr } = await run(
      'docker',
      [
        ...['run', '--rm', '--name', container, '--network', 'edgetest-testssl-blue', '-v', `${out}:/out`, image],
        ...['testssl', '--quiet', '--warnings=batch', '--color=0', '--add-ca=/out/authority.pem'],
        ...['--jsonfile=/out/found.json', ...checks, `--ip=${lab.address('blue', 2)}`, `https://${domain}:443`],
      ],
      { timeout: 840_000 },
    );
    const text = await readFile(join(out, 'found.json'), 'utf8').catch(() => '');
    if (text === '') throw new Error(`testssl (${exitCode}): ${stdout}${stderr}`);
    const found = z.array(findingSchema).parse(JSON.parse(text));
    const serious = found.filter(({ id, severity }) => !harmless.includes(severity) && !ofItself.includes(id));
    expect(serious).toEqual([]);
    const value = (id: string) => found.find((one) => one.id === id)?.finding;
    expect(value('overall_grade')).toBe('A+');
    expect(value('HSTS_time')).toMatch(/365 days/);
    // It has looked, and not given up half-way.
    expect(found.length).toBeGreaterThan(80);
    expect(value('TLS1_3')).toMatch(/offered/);
    expect(value('TLS1_1')).toBe('not offered');
    expect(value('LUCKY13')).toBeDefined();
  }, 900_000);
});
