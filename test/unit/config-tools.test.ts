import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { localTools } from '../../src/config/tools.ts';
import { run } from '../../src/host/process.ts';

const root = mkdtempSync(join(tmpdir(), 'config-tools-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describe('init where it cannot go on', () => {
  it('a path that is not there, also below a file', async () => {
    const file = join(root, 'file');
    writeFileSync(file, '');
    for (const path of [join(root, 'none.yaml'), join(file, 'compose.yaml')]) {
      await expect(localTools.draftConfig({ compose: path })).rejects.toMatchObject({ code: 'compose_invalid' });
    }
  });

  it('a directory without a Compose file is a mistake of usage, with advice', async () => {
    await expect(localTools.draftConfig({ compose: root })).rejects.toMatchObject({
      code: 'usage',
      message: expect.stringContaining('no docker-compose.yml'),
      hint: expect.stringContaining('appliance init --from'),
    });
  });

  it('files of somebody else are not permitted, to read or to write', async () => {
    const closed = join(root, 'closed');
    mkdirSync(closed);
    writeFileSync(join(closed, 'compose.yaml'), 'services: {}');
    chmodSync(closed, 0o000);
    chmodSync(root, 0o755);
    const script = `
      if (process.getuid() === 0) { process.setgroups([]); process.setgid(65534); process.setuid(65534); }
      const code = (work) => work.then(() => 'done', (error) => error.code);
      const seen = [
        await code(localTools.draftConfig({ compose: ${JSON.stringify(closed)} })),
        await code(localTools.draftConfig({ compose: ${JSON.stringify(join(closed, 'compose.yaml'))} })),
        await code(localTools.writeConfig({ root: ${JSON.stringify(closed)}, text: '', force: true })),
      ];
      console.log(seen.join(' '));`;
    const tools = join(import.meta.dirname, '../../src/config/tools.ts');
    const program = `import { localTools } from ${JSON.stringify(tools)};${script}`;
    const args = ['--no-warnings', '--input-type=module', '--eval', program];
    const { stdout, stderr } = await run(process.execPath, args, { timeout: 20_000 });
    expect(stderr).toBe('');
    chmodSync(closed, 0o700);
    expect(stdout.trim()).toBe('not_permitted not_permitted not_permitted');
  });
});
