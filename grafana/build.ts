import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { dashboard } from './board.ts';
import { boards } from './boards/index.ts';

// Writes grafana/dashboards/ anew: `npm run dashboards`. A test holds the files to what the boards say.
const directory = join(import.meta.dirname, 'dashboards');
await mkdir(directory, { recursive: true });
const wanted = new Map(boards.map((board) => [`${board.uid}.json`, `${JSON.stringify(dashboard(board), null, 2)}\n`]));
for (const name of await readdir(directory)) if (!wanted.has(name)) await rm(join(directory, name));
for (const [name, text] of wanted) await writeFile(join(directory, name), text);
console.log(`wrote ${wanted.size} dashboards`);
