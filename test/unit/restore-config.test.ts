import { chmod, chown, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { copyTree } from '../../src/capabilities/backups/copies.ts';
import {
  type ConfigTargets,
  configFiles,
  placeConfig,
  unplaceConfig,
} from '../../src/capabilities/backups/restore-config.ts';

// S1-22: files of the configuration come back as they were, whose they were, and can all be taken back.
const root = process.geteuid?.() === 0;
const owner = root ? 1234 : (process.geteuid?.() ?? 0);
let base: string;
let targets: ConfigTargets;
const snapshot = () => join(base, 'snapshot');
const before = () => join(base, 'before');

const look = async (path: string): Promise<string> => {
  const { mode, uid } = await stat(path);
  return `${(mode & 0o777).toString(8)} ${uid}`;
};

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'restore-config-'));
  const etc = join(base, 'etc');
  targets = {
    etc,
    environment: join(base, 'elsewhere/app.env'),
    modelKeys: join(base, 'keys'),
    certificates: join(base, 'certs'),
    acme: join(base, 'acme'),
  };
  await mkdir(join(etc, 'secrets'), { recursive: true });
  await mkdir(join(base, 'elsewhere'));
  for (const [path, mode] of [
    [join(etc, 'appliance.yaml'), 0o664],
    [join(etc, 'secrets/token'), 0o640],
    [join(base, 'elsewhere/app.env'), 0o600],
  ] as const) {
    await writeFile(path, `then ${path}`);
    await chmod(path, mode);
    await chown(path, owner, owner);
  }
  await chmod(join(etc, 'secrets'), 0o750);
  await chown(join(etc, 'secrets'), owner, owner);
  await copyTree(etc, join(snapshot(), 'config/etc'));
  await copyTree(join(base, 'elsewhere/app.env'), join(snapshot(), 'config/environment'));
});
afterEach(() => rm(base, { recursive: true, force: true }));

const place = async () => placeConfig(await configFiles(snapshot(), targets), before());
const takeBack = async () => unplaceConfig(await configFiles(snapshot(), targets), before());

describe('the configuration of a snapshot', () => {
  it('comes back with the owners and modes of its files and directories', async () => {
    await rm(join(base, 'elsewhere'), { recursive: true });
    await rm(join(targets.etc, 'secrets'), { recursive: true });
    await chmod(join(targets.etc, 'appliance.yaml'), 0o600);
    await place();
    expect(await look(join(targets.etc, 'appliance.yaml'))).toBe(`664 ${owner}`);
    expect(await look(join(targets.etc, 'secrets'))).toBe(`750 ${owner}`);
    expect(await look(join(targets.etc, 'secrets/token'))).toBe(`640 ${owner}`);
    expect(await look(join(base, 'elsewhere/app.env'))).toBe(`600 ${owner}`);
  });

  it('is taken back with the owners and modes of today, however far it came', async () => {
    const token = join(targets.etc, 'secrets/token');
    await writeFile(token, 'today');
    await chmod(token, 0o644);
    await rm(join(base, 'elsewhere/app.env'));
    await place();
    await place();
    expect(await readFile(token, 'utf8')).toContain('then');
    await takeBack();
    await takeBack();
    expect(await readFile(token, 'utf8')).toBe('today');
    expect(await look(token)).toBe(`644 ${owner}`);
    await expect(stat(join(base, 'elsewhere/app.env'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('names what is in the way, and is taken back past it', async () => {
    const yaml = join(targets.etc, 'appliance.yaml');
    const token = join(targets.etc, 'secrets/token');
    await writeFile(yaml, 'today');
    await rm(token);
    await mkdir(token);
    await expect(place()).rejects.toMatchObject({
      code: 'restore_failed',
      message: `${token} cannot be put in place: a directory is in its place`,
      left: expect.stringMatching(/./),
      hint: expect.stringContaining(token),
    });
    await takeBack();
    expect(await readFile(yaml, 'utf8')).toBe('today');
    expect((await stat(token)).isDirectory()).toBe(true);
  });
});
