import { readdir, readFile, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';

// What the next engineer reads: a link must lead somewhere, and a decision is known by its number alone.
const root = join(import.meta.dirname, '../..');

async function pages(): Promise<string[]> {
  const docs = await readdir(join(root, 'docs'), { recursive: true });
  return ['README.md', 'ARCHITECTURE.md', ...docs.map((path) => join('docs', path))].filter((path) =>
    path.endsWith('.md'),
  );
}

it('has no link to a file that is not there', async () => {
  const broken: string[] = [];
  for (const page of await pages()) {
    const text = await readFile(join(root, page), 'utf8');
    for (const [, target = ''] of text.matchAll(/\]\((?!\w+:|#)([^)#\s]+)/g)) {
      const there = await stat(join(root, dirname(page), target)).catch(() => undefined);
      if (!there) broken.push(`${page}: ${target}`);
    }
  }
  expect(broken).toEqual([]);
});

it('numbers each decision once, and its heading says the same number', async () => {
  const files = (await readdir(join(root, 'docs/decisions'))).filter((name) => /^\d/.test(name));
  const numbers = files.map((name) => name.slice(0, 4));
  expect(numbers).toEqual([...new Set(numbers)]);
  for (const name of files) {
    const [heading] = (await readFile(join(root, 'docs/decisions', name), 'utf8')).split('\n', 1);
    expect(heading).toMatch(new RegExp(`^# ${name.slice(0, 4)} \\S`));
  }
});
