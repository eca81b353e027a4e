import { age, seconds, titleOf } from '../../api/describe.ts';
import type { OperationView } from '../../api/schema.ts';
import { ApplianceError, exitCodes } from '../../lib/errors.ts';
import type { Call } from '../catalog.ts';
import { confirmByName } from '../confirm.ts';
import { mark, type Style } from '../output/look.ts';
import { table } from '../output/table.ts';
import type { Session } from '../session.ts';
import { operate, waitOf } from './operate.ts';

export async function deploy(call: Call<'deploy'>, session: Session): Promise<number> {
  const { policy, strategy, wait, detach } = call.options;
  return operate(session, {
    route: 'deploy',
    title: `deploy ${call.args.tag}`,
    detach,
    input: {
      tag: call.args.tag,
      acceptMovedTag: call.options['accept-moved-tag'],
      skipBackup: call.options['skip-backup'],
      wait: waitOf(wait),
      ...(policy === undefined ? {} : { policy }),
      ...(isStrategy(strategy) ? { strategy } : {}),
    },
  });
}

/** Parsing has already refused every other word; this tells the compiler. */
export function isStrategy(text: string | undefined): text is 'blue-green' | 'canary' | 'recreate' {
  return text === 'blue-green' || text === 'canary' || text === 'recreate';
}

export async function up(call: Call<'up'>, session: Session): Promise<number> {
  const { core, wait, detach } = call.options;
  return operate(session, { route: 'up', title: 'up', detach, input: { core, wait: waitOf(wait) } });
}

export async function down(call: Call<'down'>, session: Session): Promise<number> {
  const { volumes, wait, detach } = call.options;
  if (volumes) {
    const { name } = await (await session.client()).ask('status', {}, session.signal);
    await confirmByName(session, name, `This removes ${name} and all its data: databases, uploads, models.`);
  }
  return operate(session, { route: 'down', title: 'down', detach, input: { volumes, wait: waitOf(wait) } });
}

export async function restart(call: Call<'restart'>, session: Session): Promise<number> {
  const { wait, detach } = call.options;
  const { service } = call.args;
  return operate(session, {
    route: 'restart',
    title: titleOf('restart', service ?? null),
    detach,
    input: { wait: waitOf(wait), ...(service === undefined ? {} : { service }) },
  });
}

export async function prune(call: Call<'releases prune'>, session: Session): Promise<number> {
  return operate(session, { route: 'prune', title: 'prune', input: { wait: waitOf(call.options.wait) } });
}

export async function follow(call: Call<'follow'>, session: Session): Promise<number> {
  const operation = call.args.operation ?? (await runningOperation(session));
  return operate(session, { route: 'follow', title: `follow ${operation}`, input: { operation } });
}

async function runningOperation(session: Session): Promise<string> {
  const { operation } = await (await session.client()).ask('status', {}, session.signal);
  if (operation) return operation.id;
  throw new ApplianceError('operation_not_found', 'no operation is running', {
    hint: 'appliance operations lists those that have ended',
  });
}

export async function operations(_: Call<'operations'>, session: Session): Promise<number> {
  const all = await (await session.client()).ask('operations', {}, session.signal);
  session.answer(all, () =>
    all.length === 0
      ? ['no operation was ever run']
      : table(
          [
            { title: '', value: ({ result }) => mark(plain(session), signs[result]), style },
            { title: 'OPERATION', value: (row) => row.operation, dropAt: 3 },
            { title: 'WHAT', value: (row) => titleOf(row.kind, row.to), least: 12 },
            { title: 'WHEN', value: (row) => `${age(row.startedAt, Date.now())} ago`, dropAt: 1 },
            { title: 'BY', value: (row) => row.actor, least: 6, dropAt: 2 },
            { title: 'RESULT', value: (row) => row.result.replace('_', ' '), style },
            { title: 'TOOK', value: (row) => seconds(row.seconds), align: 'right' },
            { title: 'WHY', value: (row) => row.error?.message.split('\n')[0] ?? '', least: 10 },
          ],
          all,
          session.out,
        ),
  );
  return exitCodes.done;
}

/** Marks inside a table get their colour from the cell. */
function plain(session: Session) {
  return { ...session.out, colour: false };
}

const signs = { done: 'pass', failed: 'fail', rolled_back: 'fail', manual: 'fail', running: 'running' } as const;

function style({ result }: OperationView): Style {
  return ({ pass: 'green', fail: 'red', running: 'cyan' } as const)[signs[result]];
}
