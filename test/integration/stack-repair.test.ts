import { readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { logLineSchema, operationResultSchema, planSchema, releaseSchema, statusSchema } from '../../src/api/schema.ts';
import { Engine } from '../../src/host/docker.ts';
import { FaultLab } from '../faults/lab.ts';
import { pause } from '../support/pause.ts';
import { docker } from './stack-support.ts';

// Somebody did something to the containers or to appliance.yaml by hand: `status` notices, `up` puts it right.
const name = 'repairtest';
const port = 28_420;
let lab: FaultLab;

beforeAll(async () => {
  lab = await FaultLab.make({ name, port, pool: '10.228.0.0/16' });
  for (const tag of ['r1', 'r2']) {
    await lab.release(tag, { schema: 1 });
    const { exitCode, stdout } = await lab.run(['deploy', tag, '--yes', '--json']);
    expect(exitCode, stdout).toBe(0);
  }
}, 400_000);
afterAll(() => lab?.destroy());

const up = async (...more: string[]) => {
  const { exitCode, stdout, stderr } = await lab.run(['up', ...more, '--json']);
  expect(exitCode, `${stdout}\n${stderr}`).toBe(0);
};
const status = async () => statusSchema.parse(JSON.parse((await lab.run(['status', '--json'])).stdout));
/** Which release answers through the edge; undefined when nobody does in five seconds. */
const served = async (at = port): Promise<string | undefined> => {
  const answer = await fetch(`http://127.0.0.1:${at}/health`, { signal: AbortSignal.timeout(5_000) }).catch(
    () => undefined,
  );
  return answer?.headers.get('x-appliance-release') ?? undefined;
};

describe('up after a hand has been at the containers', { timeout: 400_000 }, () => {
  it('lets go on what somebody has paused', async () => {
    const paused = [`${name}-core-edge-1`, `${name}-core-store-1`, `${name}-green-backend-2-1`];
    for (const container of paused) await pause(container);
    expect((await status()).verdict).toBe('fail');
    await up();
    expect(await docker('inspect', '--format={{.State.Paused}}', ...paused)).toBe('false\nfalse\nfalse');
    expect(await served()).toBe('r2');
    expect((await status()).verdict).toBe('pass');
  });

  it.each([
    ['the edge', `${name}-core-edge-1`],
    ['a core service', `${name}-core-store-1`],
    ['a replica', `${name}-green-backend-1-1`],
  ])('brings %s back onto its network, with its address and its names', async (_, container) => {
    const format = `--format={{with index .NetworkSettings.Networks "${name}-green"}}{{with .IPAMConfig}}{{.IPv4Address}}{{end}}|{{range .Aliases}}{{.}}|{{end}}{{end}}`;
    const before = await docker('inspect', format, container);
    await docker('network', 'disconnect', `${name}-green`, container);
    await up();
    const [address, ...aliases] = (await docker('inspect', format, container)).split('|');
    const [wanted, ...names] = before.split('|');
    expect(address).toBe(wanted);
    expect(aliases).toEqual(expect.arrayContaining(names));
    expect(await served()).toBe('r2');
    expect((await status()).verdict).toBe('pass');
  });

  it('also when the edge was taken off both networks and given another address', async () => {
    const edge = `${name}-core-edge-1`;
    for (const colour of ['blue', 'green']) await docker('network', 'disconnect', `${name}-${colour}`, edge);
    await docker('network', 'connect', `${name}-green`, edge);
    await up();
    expect(await served()).toBe('r2');
    const at = await docker(
      'inspect',
      `--format={{(index .NetworkSettings.Networks "${name}-green").IPAddress}}`,
      edge,
    );
    expect(at).toBe('10.228.1.2');
  });
});

describe('status', { timeout: 400_000 }, () => {
  it('misses a replica and a core service that were removed by hand', async () => {
    await docker('rm', '--force', `${name}-green-backend-2-1`);
    const seen = await status();
    expect(seen.verdict).toBe('fail');
    expect(seen.findings.find(({ id }) => id === 'services')).toMatchObject({
      verdict: 'fail',
      observed: 'backend-2: no container',
      hint: 'appliance up',
    });
    await docker('rm', '--force', `${name}-core-store-1`);
    expect((await status()).findings.find(({ id }) => id === 'services')?.observed).toContain('store: no container');
    await up();
    expect((await status()).verdict).toBe('pass');
  });

  it('says where the edge really answers after a change of edge.http, and what makes it true', async () => {
    const good = await readFile(lab.config, 'utf8');
    await writeFile(lab.config, good.replace(String(port), String(port + 10)));
    const seen = await status();
    expect(seen.verdict).toBe('fail');
    expect(seen.edge).toMatchObject({ http: `http://127.0.0.1:${port}`, https: `https://127.0.0.1:${port + 1}` });
    expect(seen.findings.find(({ id }) => id === 'edge-address')).toMatchObject({
      verdict: 'fail',
      observed: `the edge is published at 127.0.0.1:${port} (edge.http)`,
      expected: `127.0.0.1:${port + 10}`,
      hint: 'appliance up --core',
    });
    await up('--core');
    expect(await status()).toMatchObject({ verdict: 'pass', edge: { http: `http://127.0.0.1:${port + 10}` } });
    expect(await served(port + 10)).toBe('r2');
    await writeFile(lab.config, good);
    await up('--core');
    expect(await served()).toBe('r2');
  });
});

describe('another name in appliance.yaml under the same root, while no agent runs', { timeout: 400_000 }, () => {
  it('is refused (exit 2), and nothing is touched', async () => {
    const good = await readFile(lab.config, 'utf8');
    const containers = () => docker('ps', '--all', '--no-trunc', '--quiet', '--filter', `label=appliance.name=${name}`);
    const before = await containers();
    await writeFile(lab.config, good.replace(`name: ${name}`, 'name: repairother'));
    for (const verb of [['up'], ['deploy', 'r1', '--yes'], ['down', '--yes'], ['status'], ['agent', '--foreground']]) {
      const { exitCode, stdout, stderr } = await lab.run([...verb, '--json']);
      expect(exitCode, verb.join(' ')).toBe(2);
      expect(stdout + stderr).toContain(`cannot change from ${name} to repairother`);
    }
    await writeFile(lab.config, good);
    expect(await containers()).toBe(before);
    expect(await docker('ps', '--all', '--quiet', '--filter', 'label=appliance.name=repairother')).toBe('');
    expect((await status()).verdict).toBe('pass');
  });

  it('may be corrected as long as nothing bears it', async () => {
    const fresh = await FaultLab.make({ name: 'repairtypo', port: port + 2, pool: '10.228.8.0/21' });
    try {
      expect((await fresh.run(['deploy', 'nosuchtag', '--yes'])).exitCode).not.toBe(0);
      const text = await readFile(fresh.config, 'utf8');
      await writeFile(fresh.config, text.replace('name: repairtypo', 'name: repairright'));
      const { exitCode, stdout } = await fresh.run(['releases', '--json']);
      expect(exitCode, stdout).toBe(0);
    } finally {
      await fresh.destroy();
    }
  });
});

describe('a deploy that takes the place of a warm release', { timeout: 400_000 }, () => {
  it('says before and after what that costs, and releases tells the truth', async () => {
    await lab.release('sick', { schema: 1, sick: true });
    const plan = planSchema.parse(JSON.parse((await lab.run(['plan', 'sick', '--json'])).stdout));
    expect(plan.notes).toContainEqual(expect.stringMatching(/^r1 is warm on blue and makes room.*even if this fails/));
    const { exitCode, stdout } = await lab.run(['deploy', 'sick', '--yes', '--json']);
    expect(exitCode).toBe(1);
    const result = operationResultSchema.parse(JSON.parse(stdout.split('\n').at(-1) ?? ''));
    expect(result).toMatchObject({ result: 'failed', error: { code: 'unhealthy' } });
    expect(result.error?.left).toMatch(/r1, which was warm on blue, made room and is stopped/);
    expect(result.error?.left).toContain('appliance rollback r1');
    const releases = releaseSchema.array().parse(JSON.parse((await lab.run(['releases', '--json'])).stdout));
    expect(Object.fromEntries(releases.map(({ tag, state }) => [tag, state]))).toEqual({ r2: 'live', r1: 'kept' });
    expect((await status()).warm).toBeNull();
    expect((await lab.run(['rollback', 'r1', '--json'])).exitCode).toBe(0);
    expect(await served()).toBe('r1');
  });
});

describe('two releases of one tag', { timeout: 400_000 }, () => {
  it('can be told apart and addressed', async () => {
    const file = lab.config;
    const good = await readFile(file, 'utf8');
    // The environment is part of a release: the same commit, another release.
    const environment = `${lab.root}/etc/app.env`;
    await writeFile(environment, 'COLOUR_OF_THE_DAY=red\n', { mode: 0o600 });
    await writeFile(file, good.replace(/source: \{ (.*) \}/, `source: { $1, envFile: ${environment} }`));
    expect((await lab.run(['deploy', 'r2', '--yes'])).exitCode).toBe(0);
    const { stdout } = await lab.run(['releases']);
    const ids = stdout.match(/\br2-[0-9a-f]{10}\b/g) ?? [];
    expect(new Set(ids).size, stdout).toBe(2);
    expect(stdout).toMatch(/^r1 /m);
    expect(stdout).toContain('by its id');
    const live = releaseSchema
      .array()
      .parse(JSON.parse((await lab.run(['releases', '--json'])).stdout))
      .filter(({ tag }) => tag === 'r2');
    const other = live.find(({ state }) => state !== 'live');
    const back = await lab.run(['rollback', other?.id ?? '', '--json']);
    expect(back.exitCode, back.stdout).toBe(0);
    const after = releaseSchema.array().parse(JSON.parse((await lab.run(['releases', '--json'])).stdout));
    expect(after.find(({ state }) => state === 'live')?.id).toBe(other?.id);
    await writeFile(file, good);
  });
});

describe('logs', () => {
  it('without -f come from all services and end', async () => {
    const { exitCode, stdout } = await lab.run(['logs', '--tail', 'all', '--json']);
    expect(exitCode).toBe(0);
    const services = stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => logLineSchema.parse(JSON.parse(line)).service);
    expect(new Set(services)).toContain('backend-1');
  });

  it('followed over a change of appliance.yaml tell what starts after it', { timeout: 120_000 }, async () => {
    await lab.startAgent();
    const following = lab.spawnCli(['logs', '-f', '--tail', '0', '--json']);
    try {
      const lines: string[] = [];
      following.stdout?.on('data', (chunk: Buffer) => lines.push(...chunk.toString().split('\n')));
      const replica = `${name}-${(await status()).release?.colour}-backend-1-1`;
      const heard = (text: string) =>
        expect.poll(() => lines.filter((line) => line.includes(text)).length, { timeout: 30_000, interval: 200 });
      // What was said before it listened is not told: --tail 0.
      await expect
        .poll(
          async () => {
            await docker('exec', replica, 'sh', '-c', 'echo before the change >/proc/1/fd/1');
            return lines.some((line) => line.includes('before the change'));
          },
          { timeout: 60_000, interval: 500 },
        )
        .toBe(true);
      await writeFile(lab.config, `${await readFile(lab.config, 'utf8')}\n# changed\n`);
      const { exitCode, stdout } = await lab.run(['restart', 'backend', '--json']);
      expect(exitCode, stdout).toBe(0);
      await docker('exec', replica, 'sh', '-c', 'echo after the change >/proc/1/fd/1');
      await heard('after the change').toBe(1);
    } finally {
      following.kill('SIGINT');
      await following.catch(() => undefined);
      await lab.stopAgent();
    }
  });

  it('of megabytes are not collected before the first line', async () => {
    const container = `${name}-talker`;
    await docker('run', '--name', container, 'debian:trixie-slim', 'seq', '--format=%064.0f', '300000');
    try {
      const before = process.memoryUsage().arrayBuffers;
      const signal = AbortSignal.timeout(60_000);
      let lines = 0;
      for await (const { text } of new Engine().logs({ id: container, tty: false }, { follow: false, signal })) {
        if (lines === 0) expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000);
        lines += text.split('\n').length - 1;
      }
      expect(lines).toBe(300_000);
    } finally {
      await docker('rm', '--force', container);
    }
  });
});
