import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { run } from '../../src/host/process.ts';
import { type Crowd, startCrowd, type Tally } from '../integration/edge-clients.ts';
import { docker, type EdgeLab, openLab, port, quietly } from '../integration/edge-lab.ts';
import { main, type Row } from './row.ts';

const shifts = 20;
const clients = { kept: 32, fresh: 8 };
/** Requests between two shifts, so that the whole run has more than 100,000. */
const between = 5_200;
/** The rivals lose requests at once; a fifth of the requests shows it. */
const betweenRivals = 1_000;
/** A recreation takes seconds, in which clients ask thousands of times. */
const recreations = 6;

export const about = `\
Requests lost: ${clients.kept} clients that keep their connection and ${clients.fresh} that open a new one each time ask without a pause,
never repeat a request, and wait 20 ms after a failure. Lost is what does not come back, or not with 200. The edge is
shifted ${shifts} times; nginx is reloaded ${shifts} times with another address in its configuration; Compose recreates a container
that answers as soon as it is started, ${recreations} times.`;

/**
 * Requests lost while traffic goes to and fro between two releases, under clients that never repeat a request: the
 * edge, nginx with a reload for each switch, and Compose that recreates the container.
 */
export async function bench(): Promise<Row[]> {
  const lab = await openLab({ name: 'loss', net: 60, http: 18160, https: 18161 });
  try {
    await lab.startRelease('blue', 'v1', 11);
    await lab.startRelease('green', 'v2', 11);
    const edge = await loseByEdge(lab);
    const reload = await loseByReload(lab);
    const recreate = await loseByRecreation();
    const row = (about: string, rival: string, tally: Tally): Row => ({
      name: `requests lost per 100,000 in ${shifts} shifts, beside ${about}`,
      value: per100k(edge),
      unit: 'lost',
      rival: { name: `${rival}: ${counted(tally)}`, value: per100k(tally) },
      spread: counted(edge),
      target: '0 of ≥ 100,000',
      met: edge.failed === 0 && edge.requests >= 100_000 && edge.releases.size === 2,
    });
    return [row('a reload', 'nginx -s reload', reload), row('a recreation', 'docker compose up -d --wait', recreate)];
  } finally {
    await lab.close();
  }
}

function per100k({ failed, requests }: Tally): number {
  return Math.round((failed / requests) * 100_000);
}

function counted({ failed, requests }: Tally): string {
  return `${failed.toLocaleString('en-US')} of ${requests.toLocaleString('en-US')}`;
}

/** Waits until the crowd has asked so often. */
async function until(crowd: Crowd, requests: number): Promise<void> {
  while (crowd.tally.requests < requests) await delay(20);
}

async function loseByEdge(lab: EdgeLab): Promise<Tally> {
  await lab.configure(
    lab.topologies({
      blue: { release: 'v1', addresses: [lab.address('blue', 11)] },
      green: { release: 'v2', addresses: [lab.address('green', 11)] },
    }),
  );
  await lab.shift('blue', 'blue', 'v1');
  const crowd = startCrowd(`${lab.url}/`, clients);
  for (let turn = 0; turn < shifts; turn += 1) {
    await until(crowd, turn * between);
    if (turn % 2 === 0) await lab.shift('blue', 'green', 'v2');
    else await lab.shift('green', 'blue', 'v1');
  }
  await until(crowd, shifts * between);
  return await crowd.stop();
}

/** The same nginx and the same backends; what changes is an address in the configuration. */
async function loseByReload(lab: EdgeLab): Promise<Tally> {
  const name = 'edgetest-loss-reload';
  const directory = await mkdtemp(join(tmpdir(), 'edgetest-loss-'));
  const point = (turn: number) => {
    const address = turn % 2 === 0 ? lab.address('blue', 11) : lab.address('green', 11);
    return writeFile(join(directory, 'nginx.conf'), switchedByReload(address));
  };
  try {
    await point(0);
    await quietly('rm', '-f', '-v', name);
    await docker(
      ...['create', '--name', name, '--network', 'edgetest-loss-blue', '-v', `${directory}:/conf`],
      ...['-p', '127.0.0.1:18162:80', '--entrypoint', 'nginx', 'appliance/edge:1', '-c', '/conf/nginx.conf'],
      ...['-g', 'daemon off;'],
    );
    await docker('network', 'connect', 'edgetest-loss-green', name);
    await docker('start', name);
    await delay(1_000);
    const crowd = startCrowd('http://127.0.0.1:18162/', clients);
    for (let turn = 1; turn <= shifts; turn += 1) {
      await until(crowd, turn * betweenRivals);
      await point(turn);
      await docker('exec', name, 'nginx', '-c', '/conf/nginx.conf', '-s', 'reload');
    }
    await until(crowd, (shifts + 1) * betweenRivals);
    return await crowd.stop();
  } finally {
    await quietly('rm', '-f', '-v', name);
    await rm(directory, { recursive: true, force: true });
  }
}

function switchedByReload(address: string): string {
  return `worker_processes auto;
pid /run/switch.pid;
error_log stderr warn;
events { worker_connections 8192; }
http {
  access_log off;
  keepalive_requests 100000;
  upstream live { server ${address}:${port}; keepalive 64; }
  server {
    listen 80;
    location / { proxy_http_version 1.1; proxy_set_header Connection ""; proxy_pass http://live; }
  }
}
`;
}

/** A service with a health check that answers as soon as it is started, made anew with another release each time. */
async function loseByRecreation(): Promise<Tally> {
  const directory = await mkdtemp(join(tmpdir(), 'edgetest-loss-'));
  const compose = async (release: string, ...args: string[]) => {
    const all = ['compose', '--project-name', 'edgetest-loss', '--project-directory', directory, ...args];
    const { exitCode, stderr } = await run('docker', all, { timeout: 120_000, env: { RELEASE: release } });
    if (exitCode !== 0) throw new Error(`docker compose ${args[0]}: ${stderr}`);
  };
  await writeFile(join(directory, 'compose.yaml'), recreatedProject);
  await writeFile(join(directory, 'serve.sh'), serveRelease);
  try {
    await compose('v1', 'up', '-d', '--wait');
    const crowd = startCrowd('http://127.0.0.1:18163/', clients);
    for (let turn = 1; turn <= recreations; turn += 1) {
      await until(crowd, turn * betweenRivals);
      await compose(turn % 2 === 0 ? 'v1' : 'v2', 'up', '-d', '--wait');
    }
    await until(crowd, crowd.tally.requests + betweenRivals);
    return await crowd.stop();
  } finally {
    await compose('v1', 'down', '--volumes', '--timeout', '1');
    await rm(directory, { recursive: true, force: true });
  }
}

const recreatedProject = `services:
  release:
    image: appliance/edge:1
    entrypoint: ["sh", "/serve.sh"]
    environment: { RELEASE: "\${RELEASE}" }
    volumes: ["./serve.sh:/serve.sh:ro"]
    ports: ["127.0.0.1:18163:9000"]
    stop_grace_period: 2s
    healthcheck: { test: ["CMD", "test", "-f", "/run/release.pid"], interval: 1s }
networks:
  default: { ipam: { config: [{ subnet: 10.214.62.0/24 }] } }
`;

const serveRelease = `cat >/release.conf <<CONF
pid /run/release.pid;
error_log stderr warn;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 100000;
  server { listen 9000; location / { add_header X-Appliance-Release $RELEASE; return 200 "$RELEASE"; } }
}
CONF
exec nginx -c /release.conf -g 'daemon off;'
`;

if (import.meta.main) await main(bench);
