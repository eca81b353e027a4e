import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';

const project = join(import.meta.dirname, '../..');
const page = execFileSync(process.execPath, [join(project, 'scripts/requirements.js')], { encoding: 'utf8' });
const { open, sources } = z
  .object({
    open: z.record(z.string(), z.string().min(20)),
    sources: z.record(z.string(), z.object({ rows: z.int() })),
  })
  .parse(JSON.parse(readFileSync(join(project, 'scripts/requirements.json'), 'utf8')));

describe('the page of demands', () => {
  it('is what the project quotes', async () => {
    await expect(page).toMatchFileSnapshot(join(project, 'docs/reference/requirements.md'));
  });
  it('has every demand once: carried somewhere, or with a reason', () => {
    const rows = [...page.matchAll(/^\| (S\d-\d+) \| (.*?) \|/gm)];
    const wanted = Object.entries(sources).flatMap(([source, { rows: count }]) =>
      Array.from({ length: count }, (_, index) => `${source}-${index + 1}`),
    );
    expect(rows.map(([, id]) => id).sort()).toEqual(wanted.sort());
    expect(rows.filter(([, , words]) => words === 'UNKNOWN').map(([, id]) => id)).toEqual([]);
  });
  it('gives no reason for what somebody carries', () => {
    const reasons = [...page.matchAll(/^\| (S\d-\d+) \| ([^|]*) \|$/gm)].map(([, id]) => id);
    expect(Object.keys(open).filter((id) => !reasons.includes(id))).toEqual([]);
  });
});
