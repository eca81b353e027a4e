import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { secretsOf } from '../../src/agent/doctor/known-secrets.ts';
import { pathsFor } from '../../src/lib/paths.ts';
import { Redactor } from '../../src/lib/redact.ts';

it('knows the environment that a release was frozen with, and no words of an example', async () => {
  const root = await mkdtemp(join(tmpdir(), 'known-secrets-'));
  try {
    const paths = pathsFor(root);
    const release = join(paths.releases, 'v1-abc');
    await mkdir(join(release, 'source'), { recursive: true });
    const address = 'postgresql://app:Zq7vKx9TrUe4@db/app';
    await writeFile(join(release, 'environment.json'), JSON.stringify({ DATABASE_URL: address, LOG_LEVEL: 'INFO' }));
    await writeFile(join(release, 'source/.env.example'), 'DATABASE_URL=postgresql://app:PASSWORD@db/app\n');
    const { forms, problems } = await secretsOf(paths, undefined);
    expect(problems).toEqual([]);
    const out = new Redactor(forms).text('refused Zq7vKx9TrUe4\nPASSWORD of INFO\nDB_PASSWORD=0ther; b\n');
    expect(out).toBe(
      'refused [redacted: DATABASE_URL]\nPASSWORD of INFO\nDB_PASSWORD=[redacted: value of a secret key]\n',
    );
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
