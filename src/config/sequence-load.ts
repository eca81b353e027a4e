import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { readIfPresent } from '../host/files.ts';
import { ApplianceError } from '../lib/errors.ts';
import { problemText } from './load.ts';
import { outlineOf } from './outline.ts';
import { parseText } from './parse.ts';
import { type Sequence, sequenceSchema } from './sequences.ts';

const outline = outlineOf(() => z.toJSONSchema(sequenceSchema, { io: 'input', target: 'draft-2020-12' }));
const namePattern = /^[a-z][a-z0-9-]{0,40}$/;

/** Directory of the sequences that come with the program: beside its modules, or in the source tree. */
async function shippedDirectory(): Promise<string> {
  const beside = join(import.meta.dirname, 'checks');
  const there = await stat(beside).then(
    (found) => found.isDirectory(),
    () => false,
  );
  return there ? beside : join(import.meta.dirname, '../../compose/checks');
}

/**
 * A sequence that comes with the program: one for each policy, by its name.
 * @returns undefined when there is none of that name
 * @throws ApplianceError `policy_invalid` with file, line and column of every mistake
 */
export async function loadSequence(name: string): Promise<Sequence | undefined> {
  if (!namePattern.test(name)) return undefined;
  const path = join(await shippedDirectory(), `${name}.yaml`);
  const text = await readIfPresent(path);
  if (text === undefined) return undefined;
  const { value, problems } = parseText(text, { schema: sequenceSchema, outline, crossCheck: () => [] });
  if (value !== null) return value;
  throw new ApplianceError('policy_invalid', problems.map((problem) => problemText(path, problem)).join('\n'), {
    left: 'nothing was checked',
  });
}
