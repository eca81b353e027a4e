import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { docker, edgeImage, openLab, port, quietly } from '../integration/edge-lab.ts';
import { cpuCounter } from './cpu-counter.ts';
import { main, median, middleHalf, type Row, range } from './row.ts';

const wrkImage = 'appliance-bench/wrk:1';
const plain = 'edgetest-throughput-plain';
const stock = 'edgetest-throughput-stock';
const generator = 'edgetest-throughput-wrk';
const rounds = Number(process.env.BENCH_RUNS ?? 25);

export const about = `\
Requests per second: \`wrk\` with 32 kept connections for one second at a time, from a container on the same network, on
the edge and on two rivals in turns, all in front of the same trivial backend. Plain nginx runs from the edge's own
image, with kept upstream connections and the same log line; stock nginx is \`proxy_pass\` with the defaults. Each ratio
comes from runs next to each other. What else runs on the machine disturbs single runs, so the CPU time of the same runs
stands beside it: what proxy, backend and generator used together for a request, from their control groups.`;

/**
 * The edge beside plain nginx in front of the same trivial backend: requests per second of 32 kept connections, rounds
 * in turns, each ratio from runs next to each other. Same image, same number of workers, same network, and in the
 * strong rival also the same log line with the same buffer, the same headers to the backend and kept connections to it.
 */
export async function bench(): Promise<Row[]> {
  const lab = await openLab({ name: 'throughput', net: 40, http: 18140, https: 18141 });
  try {
    const backend = lab.address('blue', 11);
    await lab.startRelease('blue', 'v1', 11);
    await lab.configure(lab.topologies({ blue: { release: 'v1', addresses: [backend] } }));
    await lab.shift('blue', 'blue', 'v1');
    await startRival(lab.root, plain, lab.address('blue', 21), plainNginx(backend));
    await startRival(lab.root, stock, lab.address('blue', 22), stockNginx(backend));
    const urls = {
      edge: `http://${lab.address('blue', 2)}:80/`,
      plain: `http://${lab.address('blue', 21)}:80/`,
      stock: `http://${lab.address('blue', 22)}:80/`,
    };
    await startGenerator();
    for (const url of Object.values(urls)) await load(url);
    const seen: Record<keyof typeof urls, number[]> = { edge: [], plain: [], stock: [] };
    const cost: Record<keyof typeof urls, number[]> = { edge: [], plain: [], stock: [] };
    const backendContainer = 'edgetest-throughput-blue-11';
    const counters = {
      edge: await cpuCounter(lab.container, backendContainer, generator),
      plain: await cpuCounter(plain, backendContainer, generator),
      stock: await cpuCounter(stock, backendContainer, generator),
    };
    for (let round = 0; round < rounds; round += 1) {
      const order = round % 2 === 0 ? (['plain', 'edge', 'stock'] as const) : (['stock', 'edge', 'plain'] as const);
      for (const name of order) {
        const before = await counters[name]();
        const { requests, perSecond } = await load(urls[name]);
        cost[name].push(((await counters[name]()) - before) / requests);
        seen[name].push(perSecond);
      }
    }
    const rival = (name: 'plain' | 'stock', about: string, target: number): Row => {
      const ratios = seen.edge.map((value, round) => value / (seen[name][round] ?? Number.NaN));
      return {
        name: `edge requests per second, ${about}`,
        value: median(seen.edge),
        unit: '/s',
        rival: { name: `${name} nginx`, value: median(seen[name]) },
        ratio: median(ratios),
        spread: `middle half ${range(middleHalf(ratios))} of ${rounds} pairs`,
        target: `≥ ${target.toFixed(2)} of it`,
        met: median(ratios) >= target,
      };
    };
    const saved = cost.edge.map((value, round) => (cost.plain[round] ?? Number.NaN) / value);
    return [
      rival('plain', 'beside nginx with kept upstream connections and the same log', 0.9),
      rival('stock', 'beside proxy_pass alone with nginx defaults', 0.9),
      {
        name: 'CPU time per request of edge, backend and generator together',
        value: median(cost.edge),
        unit: 'µs',
        rival: { name: 'the same with plain nginx', value: median(cost.plain) },
        ratio: median(saved),
        spread: `middle half ${range(middleHalf(saved))} of ${rounds} pairs`,
        target: 'plain at ≥ 0.90 of it',
        met: median(saved) >= 0.9,
      },
    ];
  } finally {
    await quietly('rm', '-f', '-v', plain, stock, generator);
    await lab.close();
  }
}

/** What wrk gets from a URL within a second, from a container on the same network. */
async function load(url: string): Promise<{ requests: number; perSecond: number }> {
  const output = await docker('exec', generator, 'wrk', '-t1', '-c32', '-d1s', '-H', 'Host: localhost', url);
  const failed = /Non-2xx[^\n]*|Socket errors[^\n]*/.exec(output);
  const requests = /(\d+) requests in/.exec(output)?.[1];
  const perSecond = /Requests\/sec:\s+([\d.]+)/.exec(output)?.[1];
  if (failed || requests === undefined || perSecond === undefined) {
    throw new Error(`wrk on ${url}: ${failed?.[0] ?? output}`);
  }
  return { requests: Number(requests), perSecond: Number(perSecond) };
}

async function startGenerator(): Promise<void> {
  if ((await quietly('image', 'inspect', wrkImage)).exitCode !== 0) {
    await docker('build', '--tag', wrkImage, join(import.meta.dirname, 'wrk'));
  }
  await quietly('rm', '-f', generator);
  await docker(
    'run',
    '-d',
    '--name',
    generator,
    '--network',
    'edgetest-throughput-blue',
    wrkImage,
    'sleep',
    'infinity',
  );
}

async function startRival(root: string, name: string, address: string, text: string): Promise<void> {
  const file = join(root, `${name}.conf`);
  await writeFile(file, text);
  await quietly('rm', '-f', '-v', name);
  await docker(
    ...['run', '-d', '--name', name, '--network', 'edgetest-throughput-blue', '--ip', address],
    ...['-v', `${file}:/plain.conf:ro`, '--entrypoint', 'nginx', edgeImage, '-c', '/plain.conf', '-g', 'daemon off;'],
  );
}

/** What someone writes who knows nginx well: nothing of the edge's features, but everything that makes it quick. */
function plainNginx(backend: string): string {
  const log = [
    '"time":"$time_iso8601"',
    '"client":"$remote_addr"',
    '"host":"$host"',
    '"method":"$request_method"',
    '"uri":"$uri"',
    '"protocol":"$server_protocol"',
    '"status":$status',
    '"bytes":$bytes_sent',
    '"seconds":$request_time',
    '"upstream":"$upstream_addr"',
    '"upstreamSeconds":"$upstream_response_time"',
    '"upstreamStatus":"$upstream_status"',
  ].join(',');
  return `user www-data;
worker_processes auto;
pid /run/plain.pid;
error_log stderr warn;
events { worker_connections 8192; }
http {
  log_format line escape=json '{${log}}';
  access_log /tmp/access.log line buffer=64k flush=1s;
  keepalive_requests 100000;
  upstream backend { server ${backend}:${port}; keepalive 64; keepalive_requests 100000; }
  server {
    listen 80;
    location / {
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Real-IP $remote_addr;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_pass http://backend;
    }
  }
}
`;
}

/** The shortest configuration that forwards. */
function stockNginx(backend: string): string {
  return `worker_processes auto;
pid /run/plain.pid;
events {}
http {
  access_log /tmp/access.log;
  server {
    listen 80;
    location / { proxy_pass http://${backend}:${port}; }
  }
}
`;
}

if (import.meta.main) await main(bench);
