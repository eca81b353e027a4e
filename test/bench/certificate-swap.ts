import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../../src/lib/clock.ts';
import { startCrowd, type Tally } from '../integration/edge-clients.ts';
import { context, docker, type EdgeLab, edgeImage, openLab, quietly } from '../integration/edge-lab.ts';
import { layPair, newAuthority, type Pair } from '../integration/edge-pair.ts';
import { workerCpuCounter } from './cpu-counter.ts';
import { main, median, middleHalf, type Row, range } from './row.ts';

const rounds = Number(process.env.BENCH_RUNS ?? 15);
const plain = 'edgetest-swap-plain';
const generator = 'edgetest-swap-openssl';
const domain = 'edge.example.org';
/** Seconds of handshakes at a time, and clients. */
const burst = 2;
const atOnce = 4;

export const about = `\
Certificates: 16 clients that keep their connection and 4 that open a new one each time ask over TLS without a pause and
never repeat a request. In turns, the certificate is replaced (the step of a renewal, up to its proof by handshakes) and
nginx is reloaded by hand. Where nginx has \`keepalive_min_timeout\` (1.27.4; Debian 13 has 1.26), kept connections must not
lose a request either; else no more than the reload that every server needs for a new certificate, as far as counts of
that size can tell (two standard deviations). Handshakes: \`openssl s_time -new\` from a container on the same network, on the
edge and on plain nginx from the same image with the same key and chain (P-256), in turns; each is a full one. What else runs
on the machine disturbs them, so the CPU time of its workers alone stands beside it.`;

/** What a certificate costs: requests while it is replaced, and handshakes per second. */
export async function bench(): Promise<Row[]> {
  const config = { edge: { domains: [domain] } };
  const lab = await openLab({ name: 'swap', net: 84, http: 18184, https: 18185, config });
  try {
    const authority = await newAuthority();
    await lab.startRelease('blue', 'v1', 11);
    await lab.configure(lab.topologies({ blue: { release: 'v1', addresses: [lab.address('blue', 11)] } }));
    await lab.shift('blue', 'blue', 'v1');
    const lost = await swaps(lab, () => authority.issue([domain]));
    return [...lost, ...(await handshakes(lab, await authority.issue([domain])))];
  } finally {
    await quietly('rm', '-f', '-v', plain, generator);
    await lab.close();
  }
}

/** Requests of kept and of new connections, and how many were lost. */
interface Loss {
  kept: number;
  fresh: number;
  lostKept: number;
  lostFresh: number;
}

async function swaps(lab: EdgeLab, issue: () => Promise<Pair>): Promise<Row[]> {
  const seen = { swap: nothing(), reload: nothing() };
  let version: string | null = null;
  for (let round = 0; round < rounds; round += 1) {
    const pair = await issue();
    const next = `v${round}`;
    await layPair(lab.paths, 'edge', next, pair);
    const args = { set: 'edge', version: next, from: version, serial: pair.serial, domains: [domain] };
    await under(lab, seen.swap, () => lab.traffic.installCertificate.bind(args).apply(context()));
    version = next;
    await under(lab, seen.reload, () => docker('exec', lab.container, 'nginx', '-s', 'reload'));
  }
  const covered = await docker('exec', lab.container, 'cat', '/usr/share/appliance/features.conf').then((text) =>
    text.includes('keepalive_min_timeout'),
  );
  const { swap, reload } = seen;
  const chance = 2 * Math.sqrt(swap.lostKept + reload.lostKept);
  return [
    {
      name: `requests on new connections lost in ${rounds} replacements of the certificate`,
      value: swap.lostFresh,
      unit: 'lost',
      rival: { name: `nginx -s reload, of ${reload.fresh.toLocaleString('en-US')}`, value: reload.lostFresh },
      spread: `of ${swap.fresh.toLocaleString('en-US')}`,
      target: '0',
      met: swap.lostFresh === 0 && swap.fresh > 0,
    },
    {
      name: `requests on kept connections lost in ${rounds} replacements of the certificate`,
      value: swap.lostKept,
      unit: 'lost',
      rival: { name: `nginx -s reload, of ${reload.kept.toLocaleString('en-US')}`, value: reload.lostKept },
      spread: `of ${swap.kept.toLocaleString('en-US')}`,
      target: covered ? '0' : 'no more than beside it',
      met: covered ? swap.lostKept === 0 : swap.lostKept <= reload.lostKept + chance,
    },
  ];
}

function nothing(): Loss {
  return { kept: 0, fresh: 0, lostKept: 0, lostFresh: 0 };
}

/** Something that happens to the edge while clients ask. */
async function under(lab: EdgeLab, loss: Loss, work: () => Promise<unknown>): Promise<void> {
  const kept = startCrowd(`${lab.secureUrl}/`, { kept: 16, fresh: 0 });
  const fresh = startCrowd(`${lab.secureUrl}/`, { kept: 0, fresh: 4 });
  await systemClock.sleep(1_000);
  await work();
  await systemClock.sleep(1_500);
  const [onKept, onFresh]: Tally[] = await Promise.all([kept.stop(), fresh.stop()]);
  loss.kept += onKept?.requests ?? 0;
  loss.lostKept += onKept?.failed ?? 0;
  loss.fresh += onFresh?.requests ?? 0;
  loss.lostFresh += onFresh?.failed ?? 0;
}

async function handshakes(lab: EdgeLab, pair: Pair): Promise<Row[]> {
  await layPair(lab.paths, 'edge', 'bench', pair);
  const args = { set: 'edge', version: 'bench', from: null, serial: pair.serial, domains: [domain] };
  await lab.traffic.installCertificate.bind(args).apply(context());
  const conf = join(lab.root, 'plain.conf');
  await writeFile(conf, plainNginx);
  await quietly('rm', '-f', '-v', plain, generator);
  const network = 'edgetest-swap-blue';
  await docker(
    ...['run', '-d', '--name', plain, '--network', network, '--ip', lab.address('blue', 21)],
    ...['-v', `${conf}:/plain.conf:ro`, '-v', `${lab.paths.edge}:/edge:ro`],
    ...['--entrypoint', 'nginx', edgeImage, '-c', '/plain.conf', '-g', 'daemon off;'],
  );
  await docker('run', '-d', '--name', generator, '--network', network, '--entrypoint', 'sleep', edgeImage, 'infinity');
  const where = { edge: lab.address('blue', 2), plain: lab.address('blue', 21) };
  const used = { edge: await workerCpuCounter(lab.container), plain: await workerCpuCounter(plain) };
  const rates = { edge: [] as number[], plain: [] as number[] };
  const costs = { edge: [] as number[], plain: [] as number[] };
  for (const name of ['edge', 'plain'] as const) await rate(where[name]);
  for (let round = 0; round < rounds; round += 1) {
    const order = round % 2 === 0 ? (['edge', 'plain'] as const) : (['plain', 'edge'] as const);
    for (const name of order) {
      const before = await used[name]();
      const { count, seconds } = await rate(where[name]);
      costs[name].push(((await used[name]()) - before) / count);
      rates[name].push(count / seconds);
    }
  }
  const row = (name: string, unit: string, of: typeof rates, ratios: readonly number[], target: string): Row => ({
    name,
    value: median(of.edge),
    unit,
    rival: { name: 'plain nginx', value: median(of.plain) },
    ratio: median(ratios),
    spread: `middle half ${range(middleHalf(ratios))} of ${rounds} pairs`,
    target,
    met: median(ratios) >= 0.95,
  });
  const faster = rates.edge.map((value, round) => value / (rates.plain[round] ?? Number.NaN));
  const cheaper = costs.edge.map((value, round) => (costs.plain[round] ?? Number.NaN) / value);
  return [
    row('full TLS handshakes per second, P-256', '/s', rates, faster, '≥ 0.95 of it'),
    row('CPU time of the server for one of them', 'µs', costs, cheaper, 'plain at ≥ 0.95 of it'),
  ];
}

/** Full handshakes of some clients, and how long they took. */
async function rate(address: string): Promise<{ count: number; seconds: number }> {
  // Its own "real seconds" are whole ones.
  const one = `openssl s_time -connect ${address}:443 -new -time ${burst}`;
  const all = Array.from({ length: atOnce }, () => `${one} &`).join(' ');
  const command = `a=$(date +%s%N); ${all} wait; echo took $(($(date +%s%N) - a))`;
  const output = await docker('exec', generator, 'sh', '-c', command);
  const counts = [...output.matchAll(/(\d+) connections in \d+ real seconds/g)].map(([, count]) => Number(count));
  const [, took] = /took (\d+)/.exec(output) ?? [];
  if (counts.length !== atOnce || took === undefined) throw new Error(`openssl s_time on ${address}: ${output}`);
  return { count: counts.reduce((sum, count) => sum + count, 0), seconds: Number(took) / 1e9 };
}

/** The shortest configuration with the same certificate. */
const plainNginx = `worker_processes auto;
pid /run/plain.pid;
error_log stderr warn;
events { worker_connections 8192; }
http {
  access_log off;
  server {
    listen 443 ssl;
    http2 on;
    ssl_certificate /edge/certs/edge/current/chain.pem;
    ssl_certificate_key /edge/certs/edge/current/key.pem;
    location / { return 200; }
  }
}
`;

if (import.meta.main) await main(bench);
