import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { configJsonSchema } from '../../src/config/index.ts';
import { parseConfig } from '../../src/config/load.ts';

const reference = readFileSync(join(import.meta.dirname, '../../docs/reference/configuration.md'), 'utf8');

const node = z.looseObject({
  default: z.unknown().optional(),
  description: z.string().optional(),
  get properties() {
    return z.record(z.string(), node).optional();
  },
  get additionalProperties() {
    return z.union([z.boolean(), node]).optional();
  },
  get items() {
    return node.optional();
  },
});
type Node = z.output<typeof node>;

/** Every key that takes a value, with its node. */
function leaves(at: Node, path: string): [string, Node][] {
  const inner = Object.entries(at.properties ?? {}).flatMap(([key, value]) =>
    leaves(value, path === '' ? key : `${path}.${key}`),
  );
  const any = typeof at.additionalProperties === 'object' ? leaves(at.additionalProperties, `${path}.*`) : [];
  const item = at.items?.properties ? leaves(at.items, `${path}[]`) : [];
  const all = [...inner, ...any, ...item];
  return all.length > 0 ? all : [[path, at]];
}
const keys = leaves(node.parse(configJsonSchema()), '');

test.each(keys)(
  '%s stands in the reference with its default, and is described',
  (key, { default: fallback, description }) => {
    const row = reference.split('\n').find((line) => line.startsWith(`| \`${key}\` |`));
    const shown = row?.split('|')[2]?.trim().replaceAll('`', '');
    expect(description).toBeTruthy();
    if (fallback === undefined) expect(['–', 'none']).toContain(shown);
    else expect(parse(shown ?? '')).toEqual(fallback);
  },
);

test('the reference has no keys that do not exist', () => {
  const rows = reference
    .slice(reference.indexOf('## Keys'), reference.indexOf('## Roles'))
    .matchAll(/^\| `([^`]+)` \|/gm);
  expect([...rows].map(([, key]) => key)).toEqual(keys.map(([key]) => key));
});

test('the smallest example is a good configuration', () => {
  const [, example = ''] = /```yaml\n([\s\S]*?)```/.exec(reference) ?? [];
  expect(parseConfig(example).problems).toEqual([]);
});
