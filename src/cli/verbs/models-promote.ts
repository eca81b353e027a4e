import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { titleOf } from '../../api/describe.ts';
import { exitCodes } from '../../lib/errors.ts';
import { parseDuration, parseShare } from '../../lib/units.ts';
import type { Call } from '../catalog.ts';
import { mark } from '../output/look.ts';
import type { Session } from '../session.ts';
import { operate, waitOf } from './operate.ts';

export function promote(call: Call<'models promote'>, session: Session): Promise<number> {
  const { version } = call.args;
  const { detach, weight, ...options } = call.options;
  const input = {
    ...(version === undefined ? {} : { version }),
    ...(weight === undefined ? {} : { weight: parseShare(weight) }),
    ...wishOf(options),
    acceptInconclusive: options['accept-inconclusive'],
  };
  return operate(session, { route: 'modelsPromote', title: titleOf('models promote', version ?? null), detach, input });
}

export function rollback(call: Call<'models rollback'>, session: Session): Promise<number> {
  const { version } = call.args;
  const { detach, ...options } = call.options;
  const input = { ...(version === undefined ? {} : { version }), ...wishOf(options) };
  return operate(session, {
    route: 'modelsRollback',
    title: titleOf('models rollback', version ?? null),
    detach,
    input,
  });
}

export function retrain(call: Call<'models retrain'>, session: Session): Promise<number> {
  const { detach, ...options } = call.options;
  const input = { ...wishOf(options), acceptInconclusive: options['accept-inconclusive'] };
  return operate(session, { route: 'modelsRetrain', title: 'models retrain', detach, input });
}

export async function scan(call: Call<'models scan'>, session: Session): Promise<number> {
  const { target } = call.args;
  // A version may be called like a directory beside it; a path with a slash is meant as one.
  const path = target.includes('/') || existsSync(target) ? resolve(target) : target;
  const result = await (await session.client()).ask('modelsScan', { target: path }, session.signal);
  session.answer(result, () => [
    ...result.files.map(
      (file) =>
        `${mark(session.out, file.verdict)} ${file.path}  ${file.reason ?? `${file.kind}, names ${file.globals.length === 0 ? 'nothing' : file.globals.join(', ')}`}`,
    ),
    ...(result.verdict === 'pass' || result.hint === null ? [] : [result.hint]),
  ]);
  if (result.verdict === 'pass') return exitCodes.done;
  return result.verdict === 'fail' ? exitCodes.verdictFail : exitCodes.verdictInconclusive;
}

function wishOf(options: {
  readonly bake?: string | undefined;
  readonly reason?: string | undefined;
  readonly wait?: string | true | undefined;
}) {
  const { bake, reason, wait } = options;
  return {
    ...(bake === undefined ? {} : { bake: parseDuration(bake) }),
    ...(reason === undefined ? {} : { reason }),
    wait: waitOf(wait),
  };
}
