// Prints docs/reference/requirements.md: which demand of the five documents is carried and tested where, by the ids that
// the project quotes, and why nobody carries the rest (scripts/requirements.json).
// `npx vitest run --project unit requirements -u` writes the page.

import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const project = resolve(import.meta.dirname, '..');
const { sources, open } = JSON.parse(readFileSync(join(import.meta.dirname, 'requirements.json'), 'utf8'));
const shipped = ['compose', 'grafana', 'nginx', 'packaging', 'src'];
const readable = /\.(ts|tsx|js|mjs|ya?ml|json|sh|conf|py|rules|md)$/;
/** `S1-47`, `S1-58–60`, `S1-58 to S1-60`. */
const quoted = /\bS([0-4])-(\d+)(?:(?:–|\.\.| to )(?:S\1-)?(\d+)\b)?/g;

/** Files below a directory, without what is generated. */
function* filesBelow(directory) {
  for (const entry of readdirSync(join(project, directory), { withFileTypes: true })) {
    const path = `${directory}/${entry.name}`;
    if (entry.isDirectory() && !['node_modules', 'dist'].includes(entry.name)) yield* filesBelow(path);
    else if (entry.isFile() && readable.test(entry.name)) yield path;
  }
}

/** What a file belongs to: the folder that a reader looks into. */
function areaOf(path) {
  const parts = path.split('/').slice(0, -1);
  return parts.slice(0, parts[1] === 'capabilities' ? 3 : 2).join('/');
}

/** Id → areas that quote it. */
function quotes(directories) {
  const found = new Map();
  for (const path of directories.flatMap((directory) => [...filesBelow(directory)])) {
    for (const [, source, from, to] of readFileSync(join(project, path), 'utf8').matchAll(quoted)) {
      for (let row = Number(from); row <= Number(to ?? from); row += 1) {
        const id = `S${source}-${row}`;
        found.set(id, (found.get(id) ?? new Set()).add(areaOf(path)));
      }
    }
  }
  return found;
}

const carried = quotes(shipped);
const tested = quotes(['test']);
const words = (areas) => [...(areas ?? [])].sort().join(', ') || '–';
const lines = [
  '# Demands of the five documents',
  '',
  'Written by `scripts/requirements.js` from the ids that the project quotes;',
  '`npx vitest run --project unit requirements -u` writes it anew. `grep -rwn S1-47 src compose test` leads to the lines themselves.',
];
const sums = [];
const sections = Object.entries(sources).flatMap(([source, { policy, title, rows }]) => {
  const ids = Array.from({ length: rows }, (_, index) => `${source}-${index + 1}`);
  sums.push([
    `${source}, ${title}`,
    ids.length,
    ids.filter((id) => carried.has(id)).length,
    ids.filter((id) => tested.has(id)).length,
  ]);
  const left = ids.filter((id) => !carried.has(id));
  return [
    '',
    `## ${source}: ${title}`,
    '',
    `Policy [\`${policy}\`](../../compose/policies/${policy}.yaml).`,
    '',
    '| id | carried in | tested in |',
    '|---|---|---|',
    ...ids
      .filter((id) => carried.has(id))
      .map((id) => `| ${id} | ${words(carried.get(id))} | ${words(tested.get(id))} |`),
    ...(left.length === 0 ? [] : ['', '| id | why nobody carries it |', '|---|---|']),
    ...left.map((id) => `| ${id} | ${open[id] ?? 'UNKNOWN'} |`),
  ];
});
lines.push('', '| document | demands | carried | tested |', '|---|---|---|---|');
for (const row of sums) lines.push(`| ${row.join(' | ')} |`);
const total = (index) => sums.reduce((sum, row) => sum + row[index], 0);
lines.push(`| all | ${total(1)} | ${total(2)} | ${total(3)} |`);
process.stdout.write(`${[...lines, ...sections].join('\n')}\n`);
