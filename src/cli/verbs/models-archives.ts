import { resolve } from 'node:path';
import { exitCodes } from '../../lib/errors.ts';
import { count } from '../../lib/text.ts';
import { formatBytes } from '../../lib/units.ts';
import type { Call } from '../catalog.ts';
import { mark, speak } from '../output/look.ts';
import type { Session } from '../session.ts';
import { nameOf } from './models.ts';

export async function importModels(call: Call<'models import'>, session: Session): Promise<number> {
  const { trust } = call.options;
  const { path } = call.args;
  const { imported, skipped } = await (await session.client()).ask(
    'modelsImport',
    { ...(path === undefined ? {} : { path: resolve(path) }), ...(trust === undefined ? {} : { trust }) },
    session.signal,
  );
  session.answer({ imported, skipped }, () => [
    ...imported.map(
      (model) =>
        `${mark(session.out, 'pass')} ${nameOf(model)} is registered${model.inForce ? ' and in force' : ''}: ${count(model.files, 'file')}, ${formatBytes(model.bytes)}`,
    ),
    ...skipped.map(
      ({ path: where, reason }) => `${mark(session.out, 'skipped')} ${where}: ${speak(session.out, reason)}`,
    ),
    ...(imported.length + skipped.length === 0 ? ['there is nothing to import'] : []),
  ]);
  return exitCodes.done;
}

export async function exportModel(call: Call<'models export'>, session: Session): Promise<number> {
  const client = await session.client();
  const { version, file } = call.args;
  const path = resolve(file ?? (await defaultFile(client, version, session)));
  const made = await client.ask('modelsExport', { version, path }, session.signal);
  session.answer(made, () => [
    `${mark(session.out, 'pass')} ${nameOf(made)} is in ${made.path} (${formatBytes(made.bytes)}), signed by ${made.key}`,
    speak(session.out, `  → there: appliance models import FILE --trust ${made.key}`),
  ]);
  return exitCodes.done;
}

async function defaultFile(
  client: Awaited<ReturnType<Session['client']>>,
  version: string,
  session: Session,
): Promise<string> {
  const model = await client.ask('modelsShow', { version }, session.signal);
  return `${model.name}-${model.version}.tar`;
}
