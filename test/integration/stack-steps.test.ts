import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createStackSteps } from '../../src/capabilities/stack/index.ts';
import { run } from '../../src/host/process.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { colours } from '../../src/lib/colour.ts';
import { ApplianceError } from '../../src/lib/errors.ts';
import type { BoundStep } from '../../src/operations/step.ts';
import { contextWith, docker, openStack, type TestStack } from './stack-support.ts';

const name = 'stacktest-steps';
let stack: TestStack;
let v1: string;

beforeAll(async () => {
  stack = await openStack(name, { blue: '10.215.0.0/24', green: '10.215.1.0/24' });
  v1 = await stack.addRelease('v1', { PASSWORD: "'pa$$word $HOME'" });
  await apply(stack.steps.buildImages.bind({ release: v1 }));
  await apply(stack.steps.startCore.bind({ release: v1, replace: true }));
});
afterEach(async () => {
  stack.state.live = null;
  for (const colour of colours) await apply(stack.steps.removeColour.bind({ colour, graceSeconds: 0 }));
});
afterAll(() => stack?.close());

function apply(step: BoundStep, signal?: AbortSignal): Promise<string> {
  return step.apply(contextWith(signal));
}

async function failure(work: Promise<unknown>): Promise<ApplianceError> {
  const thrown = await work.then(
    () => undefined,
    (error: unknown) => error,
  );
  if (thrown instanceof ApplianceError) return thrown;
  throw new Error(`expected an ApplianceError, got ${String(thrown)}`);
}

/** Makes a release that shares the images of v1 (the environment differs, not the build). */
async function variant(tag: string, environment: Record<string, string>): Promise<string> {
  const id = await stack.addRelease(tag, environment);
  await apply(stack.steps.buildImages.bind({ release: id }));
  return id;
}

function containers(project: string): Promise<string> {
  return docker('ps', '--all', '--filter', `label=com.docker.compose.project=${project}`, '--format', '{{.Names}}');
}

describe('build-images', () => {
  test('gives every image a name of the release, and does nothing the second time', async () => {
    const { imageIds } = await stack.deps.release(v1);
    expect(Object.keys(imageIds).sort()).toEqual(['backend', 'migrate', 'prepare', 'store']);
    expect(imageIds.migrate).toBe(imageIds.backend);
    const named = await docker('image', 'inspect', '--format={{.Id}}', `appliance.local/${name}/backend:${v1}`);
    expect(named).toBe(imageIds.backend);
    expect(await docker('run', '--rm', named, 'cat', '/release')).toBe('v1');
    const started = performance.now();
    expect(await apply(stack.steps.buildImages.bind({ release: v1 }))).toBe('all images were there');
    expect(performance.now() - started).toBeLessThan(10_000);
    expect((await stack.steps.buildImages.bind({ release: v1 }).verify?.(contextWith()))?.verdict).toBe('pass');
  });

  test('a name that was moved to another image is noticed and put right', async () => {
    await docker('tag', 'debian:trixie-slim', `appliance.local/${name}/backend:${v1}`);
    const step = stack.steps.buildImages.bind({ release: v1 });
    expect((await step.verify?.(contextWith()))?.verdict).toBe('fail');
    await apply(step);
    expect((await step.verify?.(contextWith()))?.verdict).toBe('pass');
  });

  test('a build that fails says the last lines, without the secrets', async () => {
    const id = await stack.addRelease('v1-nobuild', {}, async (checkout) => {
      await writeFile(
        join(checkout, 'Dockerfile'),
        'FROM debian:trixie-slim\nRUN echo the-secret-key; echo why it failed >&2; exit 7\n',
      );
    });
    const context = contextWith();
    const error = await failure(stack.steps.buildImages.bind({ release: id }).apply(context));
    expect(context.lines.join('\n')).toContain('why it failed');
    expect(context.lines.join('\n')).not.toContain('the-secret-key');
    expect(error.code).toBe('build_failed');
    expect(error.message).toContain('why it failed');
    expect(error.message).not.toContain('the-secret-key');
  });

  test('a full disk while building is told as such', async () => {
    const id = await stack.addRelease('v1-full', {}, async (checkout) => {
      await writeFile(
        join(checkout, 'Dockerfile'),
        'FROM debian:trixie-slim\nRUN dd if=/dev/zero of=/dev/full bs=1 count=1\n',
      );
    });
    expect((await failure(apply(stack.steps.buildImages.bind({ release: id })))).code).toBe('disk_full');
  });
});

describe('start-core', () => {
  test('makes both networks with the dynamic range in the upper half, and leaves running containers alone', async () => {
    const ids = await docker('ps', '--quiet', '--filter', `label=com.docker.compose.project=${name}-core`);
    const config = await docker('network', 'inspect', '--format={{json .IPAM.Config}}', `${name}-green`);
    expect(JSON.parse(config)).toEqual([
      { Subnet: '10.215.1.0/24', IPRange: '10.215.1.128/25', Gateway: '10.215.1.1' },
    ]);
    for (const replace of [true, false]) {
      const step = stack.steps.startCore.bind({ release: v1, replace });
      await apply(step);
      expect((await step.verify?.(contextWith()))?.verdict).toBe('pass');
    }
    expect(await docker('ps', '--quiet', '--filter', `label=com.docker.compose.project=${name}-core`)).toBe(ids);
  });

  test('a core service that was stopped is started again; one that is gone fails the check', async () => {
    const step = stack.steps.startCore.bind({ release: v1, replace: false });
    await docker('stop', '--time=1', `${name}-core-store-1`);
    expect((await step.verify?.(contextWith()))?.verdict).toBe('fail');
    await apply(step);
    expect((await step.verify?.(contextWith()))?.verdict).toBe('pass');
  });

  test('the model on disk is for nobody else', async () => {
    expect((await stat(join(stack.deps.modelDirectory, 'core.json'))).mode & 0o777).toBe(0o600);
    expect((await stat(stack.deps.modelDirectory)).mode & 0o777).toBe(0o700);
  });
});

describe('migrate', () => {
  const runs = async () => {
    const text = await docker('exec', `${name}-core-store-1`, 'sh', '-c', 'cat /data/migrations 2>/dev/null || true');
    return text === '' ? 0 : text.split('\n').length;
  };

  test('runs once, starts nothing else and leaves no container', async () => {
    const before = await runs();
    expect(await apply(stack.steps.migrate.bind({ release: v1, colour: 'green' }))).toBe('migrated');
    expect(await runs()).toBe(before + 1);
    expect(await containers(`${name}-green`)).toBe('');
  });

  test('a failure tells exit status and output', async () => {
    const id = await variant('v1-badmigration', { MIGRATION: 'echo no such column; exit 4' });
    const error = await failure(apply(stack.steps.migrate.bind({ release: id, colour: 'green' })));
    expect(error).toMatchObject({ code: 'migration_failed' });
    expect(error.message).toContain('exit status 4\nno such column');
    expect(await containers(`${name}-green`)).toBe('');
  });

  test('one that outlived its agent is waited for, not run again', async () => {
    const migration = 'until [ -e /data/go ]; do sleep 0.1; done; echo slowly migrated';
    const id = await variant('v1-slowmigration', { MIGRATION: migration });
    const before = await runs();
    const killed = new AbortController();
    const first = failure(apply(stack.steps.migrate.bind({ release: id, colour: 'green' }), killed.signal)).catch(
      () => undefined,
    );
    await expect.poll(runs, { timeout: 60_000 }).toBe(before + 1);
    killed.abort();
    await first;
    const other = await failure(apply(stack.steps.migrate.bind({ release: v1, colour: 'green' })));
    expect(other.message).toContain('the migration of v1-slowmigration is still running');
    const waiting = apply(stack.steps.migrate.bind({ release: id, colour: 'green' }));
    await docker('exec', `${name}-core-store-1`, 'touch', '/data/go');
    expect(await waiting).toBe('slowly migrated');
    expect(await runs()).toBe(before + 1);
  });

  /** A step whose process died while the migration ran. */
  const cutShort = async (id: string) => {
    const killed = new AbortController();
    const step = stack.steps.migrate.bind({ release: id, colour: 'green' });
    const first = apply(step, killed.signal).catch(() => undefined);
    // Once it runs: what was killed before has only made it.
    const state = ['--format={{.State.Status}}', `${name}-migrate`];
    await expect.poll(() => docker('inspect', ...state), { timeout: 60_000 }).toMatch(/running|exited/);
    killed.abort();
    await first;
    return step;
  };

  test('undo ends one that runs for too long', async () => {
    const id = await variant('v1-endless', { MIGRATION: 'sleep 600' });
    const step = await cutShort(id);
    let minutes = 0;
    const fast = {
      ...systemClock,
      monotonic: () => {
        minutes += 1;
        return minutes * 60_000;
      },
    };
    await step.undo?.(contextWith(undefined, fast));
    expect(await containers(`${name}-green`)).toBe('');
    expect(stack.migrated).not.toContain(id);
  });

  test('undo lets one come to its end, and remembers what it made of the database', async () => {
    const id = await variant('v1-nearly', { MIGRATION: 'sleep 5; echo migrated' });
    const step = await cutShort(id);
    await step.undo?.(contextWith());
    expect(await containers(`${name}-green`)).toBe('');
    expect(stack.migrated).toContain(id);
  });
});

describe('start-colour and wait-healthy', () => {
  const start = (release: string) => stack.steps.startColour.bind({ release, colour: 'green' });
  const wait = (release: string, timeout = 90_000) =>
    stack.steps.waitHealthy.bind({ release, colour: 'green', timeout });

  /** Waits until both backends answer, whatever they say: what is asked before has no answer that could be told. */
  const answers = async () => {
    for (const address of ['10.215.1.10', '10.215.1.11'])
      await expect.poll(() => fetch(`http://${address}:8000/health`), { timeout: 60_000 }).toBeDefined();
  };

  test('starts pinned containers at fixed addresses, healthy before the first interval of their healthcheck', async () => {
    const began = performance.now();
    await apply(start(v1));
    expect((await start(v1).verify?.(contextWith()))?.verdict).toBe('pass');
    await apply(wait(v1));
    // Which is five minutes.
    expect(performance.now() - began).toBeLessThan(120_000);
    const finding = await wait(v1).verify?.(contextWith());
    expect(finding).toMatchObject({ verdict: 'pass', samples: 3 });
    const inspected = await docker(
      'inspect',
      '--format={{.Image}} {{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}',
      `${name}-green-backend-2-1`,
    );
    expect(inspected).toBe(`${(await stack.deps.release(v1)).imageIds.backend} 10.215.1.11`);
  });

  test('a service name means this colour, a core name the shared core; secrets are readable by the user of the container', async () => {
    await apply(start(v1));
    await apply(stack.steps.startColour.bind({ release: v1, colour: 'blue' }));
    await apply(wait(v1));
    const hosts = (container: string, host: string) => docker('exec', container, 'getent', 'ahostsv4', host);
    const backend = await hosts(`${name}-green-backend-1-1`, 'backend');
    expect(backend).toContain('10.215.1.10');
    expect(backend).toContain('10.215.1.11');
    expect(backend).not.toContain('10.215.0.');
    expect(await hosts(`${name}-green-backend-1-1`, 'store')).toMatch(/10\.215\.1\.(12[89]|1[3-9]\d|2\d\d)/);
    const answer = await fetch('http://10.215.1.10:8000/secret');
    expect(await answer.text()).toBe('the-secret-key');
    expect(answer.headers.get('x-appliance-release')).toBe('v1');
    expect(await docker('exec', `${name}-green-backend-1-1`, 'printenv', 'PASSWORD')).toBe('pa$$word $HOME');
    const secret = join(stack.root, 'releases/v1/secrets/key.backend');
    expect((await stat(secret)).mode & 0o777).toBe(0o440);
  });

  test('who depends on a healthy service starts after it, long before its first interval has passed', async () => {
    const withFront = async (checkout: string) => {
      const path = join(checkout, 'compose.yaml');
      const front =
        '  front:\n    image: debian:trixie-slim\n    init: true\n    command: [sleep, infinity]\n    depends_on: { backend: { condition: service_healthy } }\n';
      await writeFile(path, (await readFile(path, 'utf8')).replace('  migrate:', `${front}  migrate:`));
    };
    const waiting = await stack.addRelease('v1-front', { BOOT_SECONDS: '4' }, withFront, { front: { role: 'app' } });
    await apply(stack.steps.buildImages.bind({ release: waiting }));
    const began = performance.now();
    await apply(start(waiting));
    expect(performance.now() - began).toBeLessThan(120_000);
    const started = async (container: string) =>
      Date.parse(await docker('inspect', '--format={{.State.StartedAt}}', `${name}-green-${container}-1`));
    expect((await started('front')) - (await started('backend-1'))).toBeGreaterThanOrEqual(2_000);
    expect((await start(waiting).verify?.(contextWith()))?.verdict).toBe('pass');
    const sick = await stack.addRelease('v1-sickfront', { SICK: 'yes' }, withFront, { front: { role: 'app' } });
    await apply(stack.steps.buildImages.bind({ release: sick }));
    const impatient = createStackSteps({ ...stack.deps, timeouts: { ...stack.deps.timeouts, health: 4_000 } });
    const error = await failure(apply(impatient.startColour.bind({ release: sick, colour: 'green' })));
    expect(error.message).toMatch(/^backend-1 of v1-sickfront is not healthy after 4 s/);
    expect(await containers(`${name}-green`)).not.toContain('front');
  }, 400_000);

  test('run again it changes nothing; undo takes everything back, but never what users get', async () => {
    await apply(start(v1));
    const before = await docker(
      'ps',
      '--quiet',
      '--no-trunc',
      '--filter',
      `label=com.docker.compose.project=${name}-green`,
    );
    await apply(start(v1));
    expect(
      await docker('ps', '--quiet', '--no-trunc', '--filter', `label=com.docker.compose.project=${name}-green`),
    ).toBe(before);
    stack.state.live = { release: v1, colour: 'green' };
    await start(v1).undo?.(contextWith());
    expect(
      await docker('ps', '--quiet', '--no-trunc', '--filter', `label=com.docker.compose.project=${name}-green`),
    ).toBe(before);
    stack.state.live = { release: v1, colour: 'blue' };
    await start(v1).undo?.(contextWith());
    expect(await containers(`${name}-green`)).toBe('');
    expect(await docker('volume', 'ls', '--quiet', '--filter', `label=appliance.name=${name}`)).toBe(`${name}_data`);
  });

  test('another release whose services have other addresses takes the colour over', async () => {
    await apply(start(v1));
    const other = await stack.addRelease('v2', {}, async (checkout) => {
      const path = join(checkout, 'compose.yaml');
      await writeFile(path, (await readFile(path, 'utf8')).replace('replicas: 2', 'replicas: 1'));
    });
    await apply(stack.steps.buildImages.bind({ release: other }));
    await apply(start(other));
    await apply(wait(other));
    expect((await start(other).verify?.(contextWith()))?.verdict).toBe('pass');
    expect(await containers(`${name}-green`)).not.toContain('backend-2');
  });

  test('what an interrupted recreate left behind is removed first', async () => {
    await apply(start(v1));
    const leftover = `0123456789ab_${name}-green-backend-1-1`;
    const labels = [
      '--label',
      `com.docker.compose.project=${name}-green`,
      '--label',
      'com.docker.compose.service=backend-1',
    ];
    await docker('create', '--name', leftover, ...labels, 'debian:trixie-slim');
    await apply(start(v1));
    expect(await containers(`${name}-green`)).not.toContain(leftover);
    expect((await start(v1).verify?.(contextWith()))?.verdict).toBe('pass');
  });

  test('a Compose that outlived its agent is ended before its containers are taken away', async () => {
    const id = await variant('v1-slowjob', { PREPARE: 'sleep 4' });
    const killed = new AbortController();
    const up = apply(start(id), killed.signal).catch(() => undefined);
    await expect.poll(() => containers(`${name}-green`), { timeout: 60_000 }).toContain('prepare');
    killed.abort();
    await start(id).undo?.(contextWith());
    await up;
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    expect(await containers(`${name}-green`)).toBe('');
    const running = await run('pgrep', ['--full', `project-name=${name}-green`], { timeout: 5_000 });
    expect(running.stdout).toBe('');
  });

  test('a job that fails is named with its output', async () => {
    const id = await variant('v1-badjob', { PREPARE: 'echo nothing to prepare; exit 5' });
    const error = await failure(apply(start(id)));
    expect(error.code).toBe('unhealthy');
    expect(error.message).toBe('job prepare of v1-badjob ended with exit status 5\nnothing to prepare');
  });

  test('a crash loop fails early, with the last lines', async () => {
    const id = await variant('v1-crash', { CRASH: 'no-licence' });
    await apply(start(id));
    const began = performance.now();
    const error = await failure(apply(wait(id, 120_000)));
    expect(performance.now() - began).toBeLessThan(60_000);
    expect(error).toMatchObject({ code: 'unhealthy' });
    expect(error.message).toMatch(/^backend-[12] of v1-crash is not healthy: it has (?:restarted|ended)/);
    expect(error.message).toContain('cannot go on: no-licence');
  });

  test('a 200 of the wrong release is no proof', async () => {
    const id = await variant('v1-liar', { CLAIMS_RELEASE: 'v0' });
    await apply(start(id));
    await answers();
    const error = await failure(apply(wait(id, 2_000)));
    expect(error.message).toContain('status 200, but X-Appliance-Release is v0 instead of v1-liar');
  });

  test('a service that stays sick is named with its last answer when time is up', async () => {
    const id = await variant('v1-sick', { SICK: 'yes' });
    await apply(start(id));
    await answers();
    const error = await failure(apply(wait(id, 1_500)));
    expect(error.message).toMatch(
      /^backend-1 of v1-sick is not healthy after 1\.5 s: http:\/\/10\.215\.1\.10:8000\/health: status 503/,
    );
    expect((await wait(id).verify?.(contextWith()))?.verdict).toBe('fail');
  });

  test('a container from another image is noticed', async () => {
    await apply(start(v1));
    const original = (await stack.deps.release(v1)).imageIds;
    stack.releases.set(v1, {
      ...(await stack.deps.release(v1)),
      imageIds: { ...original, backend: original.store ?? '' },
    });
    const finding = await start(v1).verify?.(contextWith());
    stack.releases.set(v1, { ...(await stack.deps.release(v1)), imageIds: original });
    expect(finding).toMatchObject({ verdict: 'fail' });
    expect(finding?.observed).toContain(`backend-1 runs ${original.backend}`);
  });
});

describe('stop, remove and restart', () => {
  test('a stopped colour starts again from its containers', async () => {
    await apply(stack.steps.startColour.bind({ release: v1, colour: 'blue' }));
    const ids = await docker('ps', '--all', '--quiet', '--filter', `label=com.docker.compose.project=${name}-blue`);
    const stop = stack.steps.stopColour.bind({ colour: 'blue', graceSeconds: 5 });
    expect(await apply(stop)).toBe('2 containers of blue stopped');
    expect((await stop.verify?.(contextWith()))?.verdict).toBe('pass');
    await apply(stack.steps.startColour.bind({ release: v1, colour: 'blue' }));
    expect((await stop.verify?.(contextWith()))?.verdict).toBe('fail');
    expect(await docker('ps', '--all', '--quiet', '--filter', `label=com.docker.compose.project=${name}-blue`)).toBe(
      ids,
    );
  });

  test('what has nothing to finish gets its stop_grace_period, what users were on gets the drain; colours end together', async () => {
    const id = await variant('v1-stubborn', { STUBBORN: 'yes' });
    const timed = async (step: BoundStep) => {
      for (const colour of colours) await apply(stack.steps.startColour.bind({ release: id, colour }));
      // SIGTERM before the program has said that it ignores it would end it.
      for (const colour of colours) await apply(stack.steps.waitHealthy.bind({ release: id, colour, timeout: 90_000 }));
      const began = performance.now();
      await apply(step);
      return performance.now() - began;
    };
    const removals = (idle: boolean, graceSeconds: number) => colours.map((colour) => ({ colour, graceSeconds, idle }));
    expect(await timed(stack.steps.removeColour.bind({ colour: 'blue', graceSeconds: 60, idle: true }))).toBeLessThan(
      55_000,
    );
    // One after the other they would take twice as long.
    const both = stack.steps.removeColours.bind({ removals: removals(false, 25) });
    const took = await timed(both);
    expect(took).toBeGreaterThan(24_000);
    expect(took).toBeLessThan(49_000);
    expect((await both.verify?.(contextWith()))?.verdict).toBe('pass');
  }, 400_000);

  test('a colour is stopped by whoever lets it finish, and the step says what became of its requests', async () => {
    const wishes: { colour: string; addresses: readonly string[]; limit: number }[] = [];
    const steps = createStackSteps({
      ...stack.deps,
      drain: async ({ stop, ...wish }) => {
        wishes.push(wish);
        await stop(0);
        return 'one was still open';
      },
    });
    const start = steps.startColour.bind({ release: v1, colour: 'blue', graceSeconds: 7 });
    await apply(start);
    expect(await apply(steps.stopColour.bind({ colour: 'blue', graceSeconds: 5 }))).toBe(
      '2 containers of blue stopped; one was still open',
    );
    // Nothing runs, so nothing can be in flight.
    expect(await apply(steps.removeColour.bind({ colour: 'blue', graceSeconds: 6, idle: false }))).toMatch(/removed$/);
    await apply(start);
    expect(await apply(steps.removeColour.bind({ colour: 'blue', graceSeconds: 6, idle: true }))).toMatch(/removed$/);
    await apply(start);
    await start.undo?.(contextWith());
    await apply(steps.startColour.bind({ release: v1, colour: 'blue' }));
    await steps.startColour.bind({ release: v1, colour: 'blue' }).undo?.(contextWith());
    expect(wishes.map(({ colour, limit }) => [colour, limit])).toEqual([
      ['blue', 5_000],
      ['blue', 7_000],
    ]);
    for (const { addresses } of wishes) expect(addresses).toHaveLength(2);
  });

  test('restart goes through the containers of a service, and knows its names', async () => {
    await apply(stack.steps.startColour.bind({ release: v1, colour: 'blue' }));
    await apply(stack.steps.waitHealthy.bind({ release: v1, colour: 'blue', timeout: 90_000 }));
    const step = stack.steps.restartService.bind({ service: 'backend', timeout: 60_000 });
    expect(await apply(step)).toBe('2 containers of backend restarted');
    const error = await failure(apply(stack.steps.restartService.bind({ service: 'backnd', timeout: 1_000 })));
    expect(error).toMatchObject({ code: 'service_not_found', hint: 'did you mean backend?' });
  });

  test('the core goes with its networks, its data only when asked for', async () => {
    const keep = stack.steps.removeCore.bind({ volumes: false });
    await apply(keep);
    expect((await keep.verify?.(contextWith()))?.verdict).toBe('pass');
    expect(await docker('network', 'ls', '--quiet', '--filter', `label=appliance.name=${name}`)).toBe('');
    expect(await docker('volume', 'ls', '--quiet', '--filter', `label=appliance.name=${name}`)).toBe(`${name}_data`);
    const all = stack.steps.removeCore.bind({ volumes: true });
    expect((await all.verify?.(contextWith()))?.verdict).toBe('fail');
    await apply(all);
    expect((await all.verify?.(contextWith()))?.verdict).toBe('pass');
    await apply(stack.steps.startCore.bind({ release: v1, replace: true }));
  });
});
